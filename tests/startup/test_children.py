"""Forked and spawned children: they end, what they recorded arrives, and nothing is counted twice."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.startup.conftest import NOBODY, Launcher
from tests.startup.receiver import Receiver, Slow, black_hole, receiving, receiving_grpc

PARENT = """
    import os, sys, threading, time
    from opentelemetry import metrics, trace
    counter = metrics.get_meter("test").create_counter("orders")
    def work(name, orders):
        trace.get_tracer("test").start_span(name).end()
        counter.add(orders)
"""

CHILDREN: dict[str, str] = {
    "os.fork": """
        work("parent", 100)
        if os.fork() == 0:
            work("child", 1)
            sys.exit(0)
        os.wait()
    """,
    "fork": """
        import multiprocessing
        work("parent", 100)
        child = multiprocessing.get_context("fork").Process(target=work, args=("child", 1))
        child.start()
        child.join()
    """,
    "forkserver": """
        import multiprocessing
        if __name__ == "__main__":
            work("parent", 100)
            child = multiprocessing.get_context("forkserver").Process(target=work, args=("child", 1))
            child.start()
            child.join()
    """,
    "spawn": """
        import multiprocessing
        if __name__ == "__main__":
            work("parent", 100)
            child = multiprocessing.get_context("spawn").Process(target=work, args=("child", 1))
            child.start()
            child.join()
    """,
    "ProcessPoolExecutor": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        work("parent", 100)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            pool.submit(work, "child", 1).result()
    """,
    "fork in a thread": """
        import multiprocessing
        work("parent", 100)
        def start():
            child = multiprocessing.get_context("fork").Process(target=work, args=("child", 1))
            child.start()
            child.join()
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    """,
}


def _program(how: str) -> str:
    return dedent(PARENT) + dedent(CHILDREN[how])


@pytest.mark.parametrize("how", CHILDREN)
def test_what_a_child_records_arrives_once(launch: Launcher, receiver: Receiver, how: str) -> None:
    run = launch(_program(how), env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    assert (run.code, run.lines) == (0, [])
    assert receiver.received.span_names() == ["child", "parent"]
    assert sorted(receiver.received.sums("orders").values()) == [1, 100]


@pytest.mark.parametrize("how", ["os.fork", "fork", "ProcessPoolExecutor"])
def test_over_grpc_too(launch: Launcher, how: str) -> None:
    with receiving_grpc() as (endpoint, received):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        run = launch(_program(how), env=env)
        assert (run.code, run.lines) == (0, [])
        assert received.span_names() == ["child", "parent"]
        assert sorted(received.sums("orders").values()) == [1, 100]


@pytest.mark.parametrize("how", ["fork", "ProcessPoolExecutor"])
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_with_a_collector_that_never_answers_parent_and_child_end(launch: Launcher, how: str, protocol: str) -> None:
    with black_hole() as endpoint:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        source = f"import time\nbegan = time.monotonic()\n{_program(how)}\nprint(began)"
        run = launch(source, env={**env, "OTEL_MONITOR_SHUTDOWN_TIMEOUT": "1"})
    assert run.code == 0
    assert run.exit_s < 5
    assert len(run.lines) <= 2, run.stderr  # a line for each process


def test_children_of_a_process_without_a_collector_cost_no_wait(launch: Launcher) -> None:
    source = """
        import multiprocessing, time
        from opentelemetry import trace
        def work():
            trace.get_tracer("test").start_span("child").end()
        context = multiprocessing.get_context("fork")
        began = time.monotonic()
        for _ in range(5):
            child = context.Process(target=work)
            child.start()
            child.join()
        print(time.monotonic() - began)
    """
    run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY})
    assert float(run.stdout) < 5


def test_a_child_forked_in_the_middle_of_an_export_ends_and_exports_by_itself(launch: Launcher) -> None:
    source = """
        import multiprocessing, os, sys, threading, time
        from opentelemetry import metrics, trace
        tracer, provider = trace.get_tracer("test"), trace.get_tracer_provider()
        counter = metrics.get_meter("test").create_counter("orders")
        counter.add(100)
        def busy():
            while True:
                tracer.start_span("parent").end()
                provider.force_flush()
                metrics.get_meter_provider().force_flush()
        for _ in range(2):
            threading.Thread(target=busy, daemon=True).start()
        def child():
            tracer.start_span("child").end()
            counter.add(1)
        for _ in range(10):
            process = multiprocessing.get_context("fork").Process(target=child)
            began = time.monotonic()
            process.start()
            process.join(20)
            print(process.exitcode, time.monotonic() - began < 5)
    """
    with receiving() as receiver:
        run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
        spans = receiver.received.span_names()
        sums = sorted(receiver.received.sums("orders").values())
    assert run.stdout.splitlines() == ["0 True"] * 10, run.stderr
    assert spans.count("child") == 10
    assert sums == [1] * 10 + [100]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nothing_is_imported_after_the_start_so_that_no_fork_falls_into_an_import(
    launch: Launcher, protocol: str
) -> None:
    source = """
        import sys, time
        from opentelemetry import _logs, metrics, trace
        from otel_monitor.instrumentation import recorder

        before = set(sys.modules)
        trace.get_tracer("test").start_span("span").end()
        metrics.get_meter("test").create_counter("orders").add(1)
        _logs.get_logger("test").emit(body="text")
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()):
            provider.force_flush()
        deadline = time.monotonic() + 20
        while recorder._telemetry.sampling.resources is None and time.monotonic() < deadline:
            time.sleep(0.02)
        print(recorder._telemetry.sampling.resources is not None, sorted(set(sys.modules) - before))
    """
    with receiving() as receiver, receiving_grpc() as (grpc_endpoint, _):
        endpoint = grpc_endpoint if protocol == "grpc" else receiver.endpoint
        run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    assert run.stdout == "True []\n"


def test_a_fork_while_metrics_are_collected_does_not_hang_the_child(launch: Launcher) -> None:
    source = """
        import os, sys, threading, time
        from opentelemetry import metrics
        collecting, go_on = threading.Event(), threading.Event()
        parent = os.getpid()
        def observe(options):
            if os.getpid() == parent:
                collecting.set()
                go_on.wait(20)
            return []
        metrics.get_meter("test").create_observable_gauge("slow", [observe])
        threading.Thread(target=metrics.get_meter_provider().force_flush, daemon=True).start()
        collecting.wait(20)
        began = time.monotonic()
        if os.fork() == 0:
            metrics.get_meter("test").create_counter("orders").add(1)
            sys.exit(0)
        os.wait()
        print(time.monotonic() - began < 5)
        go_on.set()
    """
    with receiving() as receiver:
        run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
        assert list(receiver.received.sums("orders").values()) == [1]
    assert run.stdout == "True\n"


def test_a_child_that_ends_by_os_exit_ends_at_once(launch: Launcher) -> None:
    source = dedent(PARENT) + dedent(
        """
        if os.fork() == 0:
            work("child", 1)
            os._exit(3)
        print(os.waitstatus_to_exitcode(os.wait()[1]), time.monotonic(), sep="\\n")
        """
    )
    with receiving(Slow()) as receiver:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_MONITOR_SHUTDOWN_TIMEOUT": "0.2"}
        run = launch(source, env=env)
    assert run.stdout.splitlines()[0] == "3"
    assert run.exit_s < 5
