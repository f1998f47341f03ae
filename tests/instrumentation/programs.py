"""Programs that know nothing of us, run as real processes, with instrumentation and without."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import Counter
from pathlib import Path

from tests.processes import Processes, Program

_ROOT = Path(__file__).resolve().parents[2]
_START = '''
import atexit
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from otel_monitor.instrumentation.instrumentor import OtelMonitorInstrumentor
from otel_monitor.instrumentation.registry import check_unresolved
from otel_monitor_processors import guard

class Names(SpanExporter):
    """Appends the names of spans to a file that all processes share."""

    def export(self, spans):
        with open(os.environ["SPAN_NAMES"], "a") as file:
            file.writelines(span.name + "\\n" for span in spans)
        return SpanExportResult.SUCCESS

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(Names()))
trace.set_tracer_provider(provider)
OtelMonitorInstrumentor().instrument(skip_dep_check=True)
if os.environ.get("FAULTY_SITE"):
    guard.inject_fault(os.environ["FAULTY_SITE"], RuntimeError("a fault of ours"))
atexit.register(check_unresolved, final=True)
'''


class Programs:
    """Source files in a folder, and their runs."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._spans = folder / "span-names.txt"
        start = folder / "start"
        start.mkdir()
        (start / "sitecustomize.py").write_text(_START)

    def write(self, path: str, source: str) -> Path:
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        return file

    def run_plain(self, *arguments: str) -> Program:
        return self._run(arguments, {"PYTHONPATH": str(self._folder)})

    def run(self, *arguments: str, **settings: str) -> Program:
        """Run it instrumented; `WORKERS="fleet:Worker"` is the variable `OTEL_MONITOR_WORKERS`."""
        path = [self._folder / "start", self._folder, _ROOT, _ROOT / "processors"]
        self._spans.unlink(missing_ok=True)
        environment = {f"OTEL_MONITOR_{name}": value for name, value in settings.items() if name != "FAULTY_SITE"}
        environment["FAULTY_SITE"] = settings.get("FAULTY_SITE", "")
        environment["SPAN_NAMES"] = str(self._spans)
        return self._run(arguments, {**environment, "PYTHONPATH": os.pathsep.join(map(str, path))})

    def spans(self) -> Counter[str]:
        """How often each span name came out of the last instrumented run, of all its processes."""
        return Counter(self._spans.read_text().split("\n")[:-1]) if self._spans.exists() else Counter()

    def _run(self, arguments: tuple[str, ...], environment: dict[str, str]) -> Program:
        program = self._processes.run(sys.executable, *arguments, env=environment)
        assert program.returncode == 0, str(program)
        return program


def lines_of_ours(program: Program) -> list[str]:
    """What we said of the classes that are named: all lines of ours but those about the missing exporters."""
    return [line for line in program.stderr.splitlines() if line.startswith("otel-monitor: OTEL_MONITOR_")]
