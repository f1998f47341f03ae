"""The classes of the program itself, in real processes that know nothing of us."""

from __future__ import annotations

import textwrap

import pytest

from tests.instrumentation.programs import Programs, lines_of_ours

WORKER = """
import builtins
import sys

build = builtins.__build_class__


class Worker:
    def process(self, stream_id):
        return f"processed {stream_id}"


if __name__ == "__main__":
    print(Worker().process("s1"), type(builtins.__build_class__).__name__)
"""
BUILTIN = "processed s1 builtin_function_or_method\n"


@pytest.mark.parametrize("name", ["__main__:Worker", "worker:Worker", "shop.worker:Worker", "__main__:*", "worker:*"])
def test_a_class_of_a_script_is_found_and_the_builtin_given_back(name: str, programs: Programs) -> None:
    script = programs.write("shop/worker.py", WORKER)
    program = programs.run(str(script), WORKERS=name)
    assert (program.stdout, lines_of_ours(program)) == (BUILTIN, [])
    assert programs.spans() == {"process stream": 1}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("shop.worker", "shop.worker:Worker"),
        ("shop.worker", "__main__:Worker"),
        ("shop", "shop.__main__:Worker"),
        ("shop", "shop:Worker"),
    ],
)
def test_a_class_of_a_module_that_runs_as_the_program_is_found(module: str, name: str, programs: Programs) -> None:
    programs.write("shop/__init__.py", "")
    programs.write("shop/worker.py", WORKER)
    programs.write("shop/__main__.py", WORKER)
    program = programs.run("-m", module, WORKERS=name)
    assert (program.stdout, lines_of_ours(program)) == (BUILTIN, [])
    assert programs.spans() == {"process stream": 1}


def test_a_class_of_code_on_the_command_line_is_found(programs: Programs) -> None:
    program = programs.run("-c", textwrap.dedent(WORKER), WORKERS="__main__:Worker")
    assert (program.stdout, programs.spans()) == (BUILTIN, {"process stream": 1})


PECULIAR = """
import builtins
import dataclasses
import enum
import typing


def rebuilt(cls):
    '''As attrs does it for classes with slots.'''
    namespace = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    new = type(cls)(cls.__name__, cls.__bases__, namespace)
    for value in vars(new).values():
        for cell in getattr(value, "__closure__", None) or ():
            if cell.cell_contents is cls:
                cell.cell_contents = new
    return new


class Meta(type):
    def __new__(meta, name, bases, namespace, **options):
        cls = super().__new__(meta, name, bases, namespace)
        cls.options = options
        return cls

    @classmethod
    def __prepare__(meta, name, bases, **options):
        return {"prepared": True}


class Base:
    def process(self):
        return [type(self).__name__]


class WithMeta(Base, metaclass=Meta, colour="red"):
    def process(self):
        return [__class__.__name__, self.prepared, self.options, *super().process()]


@dataclasses.dataclass(slots=True)
class Slotted:
    size: int = 1

    def process(self):
        return [self.size, self.__slots__]


@rebuilt
class Rebuilt(Base):
    def process(self):
        return ["rebuilt", *super().process()]


class Mode(enum.Enum):
    FAST = 1

    def process(self):
        return [self.name]


class Point(typing.NamedTuple):
    x: int = 1

    def process(self):
        return [self.x]


def main():
    class Local:
        def process(self):
            return ["local"]

    for one in (WithMeta(), Slotted(), Rebuilt(), Mode.FAST, Point(), Local()):
        print(*one.process())
    print(builtins.__build_class__)


main()
"""


def test_peculiar_classes_of_a_script_work_as_they_do_without_us(programs: Programs) -> None:
    script = str(programs.write("peculiar.py", PECULIAR))
    plain = programs.run_plain(script)
    instrumented = programs.run(script, WORKERS="peculiar:*")
    assert instrumented.stdout == plain.stdout
    assert programs.spans() == {"process task": 5}


def test_uninstrument_restores_a_class_that_a_decorator_has_rebuilt(programs: Programs) -> None:
    script = programs.write(
        "slotted.py",
        """
        import dataclasses, sys

        @dataclasses.dataclass(slots=True)
        class Worker:
            def process(self):
                return "processed"

        Worker().process()
        if "otel_monitor" in sys.modules:
            import otel_monitor
            otel_monitor.uninstrument()
        print(hasattr(Worker.process, "__wrapped__"))
        """,
    )
    assert programs.run(str(script), WORKERS="slotted:Worker").stdout == "False\n"
    assert programs.spans() == {"process task": 1}


def test_a_script_that_is_also_imported_is_found_both_ways(programs: Programs) -> None:
    programs.write("helper.py", "import worker\nprint(worker.Worker().process('s0'))\n")
    script = programs.write("worker.py", WORKER + "    import helper\n")
    program = programs.run(str(script), WORKERS="worker:Worker")
    assert program.stdout == BUILTIN + "processed s0\n"
    assert programs.spans() == {"process stream": 2}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("worker:Wroker", "__main__ has no class Wroker (did you mean 'Worker'?)"),
        ("__main__:Wroker", "__main__ has no class Wroker (did you mean 'Worker'?)"),
        ("wroker:Worker", "there is no module wroker (did you mean 'worker'?)"),
    ],
)
def test_a_wrong_name_is_one_line_and_the_script_runs_on(name: str, why: str, programs: Programs) -> None:
    script = programs.write("worker.py", WORKER)
    program = programs.run(str(script), WORKERS=name)
    assert program.stdout.startswith("processed s1")
    assert lines_of_ours(program) == [
        f"otel-monitor: OTEL_MONITOR_WORKERS: '{name}' is not found: {why}; your code keeps running, without it"
    ]


def test_a_wrong_name_in_a_file_is_said_with_the_file_and_its_key(programs: Programs) -> None:
    script = programs.write("worker.py", WORKER)
    config = programs.write("fleet.json", '{"workers": ["worker:Wroker"]}')
    program = programs.run(str(script), CONFIG=str(config))
    assert f"otel-monitor: {config}: workers: 'worker:Wroker' is not found" in program.stderr


def test_a_class_that_a_script_never_came_to_define_is_said_at_its_end(programs: Programs) -> None:
    script = programs.write("worker.py", "if False:\n    class Worker: ...\n")
    (line,) = lines_of_ours(programs.run(str(script), WORKERS="worker:Worker"))
    assert "'worker:Worker' is not found: __main__ has no class Worker" in line


def test_a_module_of_another_program_of_the_fleet_is_neither_imported_nor_spoken_of(programs: Programs) -> None:
    programs.write("orchestrator.py", "raise SystemExit('imported')\n")
    script = programs.write("worker.py", WORKER)
    settings = {"WORKERS": "worker:Worker", "ORCHESTRATORS": "orchestrator:Orchestrator"}
    program = programs.run(str(script), **settings)
    assert (program.stdout, lines_of_ours(program)) == (BUILTIN, [])


@pytest.mark.parametrize(
    ("orchestrators", "spoken_of"), [("__main__:Orchestrator", []), ("__main__:Wroker", ["did you mean 'Worker'?"])]
)
def test_a_class_of_another_programs_main_is_not_spoken_of_unless_it_may_be_a_slip(
    programs: Programs, orchestrators: str, spoken_of: list[str]
) -> None:
    script = programs.write("worker.py", WORKER)
    program = programs.run(str(script), WORKERS="__main__:Worker", ORCHESTRATORS=orchestrators)
    lines = lines_of_ours(program)
    assert program.stdout.startswith("processed s1")
    assert len(lines) == len(spoken_of)
    assert all(word in line for word, line in zip(spoken_of, lines, strict=True))


def test_errors_in_our_hooks_leave_a_script_as_it_is(programs: Programs) -> None:
    script = programs.write("worker.py", WORKER)
    program = programs.run(str(script), WORKERS="worker:Worker", FAULTY_SITE="program.notice")
    assert program.stdout.startswith("processed s1")
    assert programs.spans() == {}


@pytest.mark.parametrize("name", ["worker:Worker", "__main__:*"])
def test_a_class_can_be_named_by_hand_before_the_script_defines_it(name: str, programs: Programs) -> None:
    script = programs.write("worker.py", f"import otel_monitor\notel_monitor.instrument(workers=['{name}'])\n{WORKER}")
    assert programs.run(str(script)).stdout == BUILTIN
    assert programs.spans() == {"process stream": 1}
