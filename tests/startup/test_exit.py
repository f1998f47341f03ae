"""The end of a process: the last alerts leave, and the program ends as it would have without us."""

from __future__ import annotations

import signal

import pytest

from tests.startup.conftest import Launcher
from tests.startup.receiver import Receiver, black_hole

ENDINGS = {
    "exit code": "import sys\nsys.exit(7)",
    "exit text": "import sys\nsys.exit('bad luck')",
    "exception": "raise KeyError('nothing there')",
    "exception in atexit": "import atexit\natexit.register(lambda: 1 / 0)",
    "os._exit": "import os\nos._exit(5)",
    "interrupt": "raise KeyboardInterrupt",
    "killed by SIGTERM": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "SIGTERM handled": """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
os.kill(os.getpid(), signal.SIGTERM)
""",
    "daemon thread": "import threading, time\nthreading.Thread(target=lambda: time.sleep(60), daemon=True).start()",
    "thread at exit": "import threading, time\nthreading.Thread(target=lambda: print('late')).start()",
    "closed loop": """
import asyncio
async def forever():
    await asyncio.sleep(60)
loop = asyncio.new_event_loop()
task = loop.create_task(forever())
loop.call_soon(loop.stop)
loop.run_forever()
task.cancel()
loop.close()
""",
    "closed stderr": "import os, sys\nsys.stderr.close()",
    "no thread can be started any more": """
import threading
def start(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")
threading.Thread.start = start
""",
}
SPANS = """
import sys, time
from opentelemetry import metrics, trace
for number in range(100):
    trace.get_tracer("test").start_span("span").end()
metrics.get_meter("test").create_counter("orders").add(1)
print(time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("how", ENDINGS)
def test_a_program_ends_as_it_does_without_us(launch: Launcher, how: str) -> None:
    plain = launch.plain("import sys\nexec(sys.argv[1])", ENDINGS[how])
    run = launch(SPANS + "exec(sys.argv[1])", ENDINGS[how])
    began, *printed = run.stdout.splitlines()
    assert (run.code, printed) == (plain.code, plain.stdout.splitlines())
    assert run.ended_at - float(began) < 5
    added = [line for line in run.lines if line.startswith("otel-monitor: ")]
    assert len(added) <= 1
    assert _last(run.lines, added) == _last(plain.lines, [])


def _last(lines: list[str], without: list[str]) -> str:
    kept = [line for line in lines if line not in without]
    return kept[-1] if kept else ""


def test_an_alert_of_the_last_moment_leaves(launch: Launcher, receiver: Receiver) -> None:
    source = """
        from opentelemetry import trace
        for number in range(20):
            with trace.get_tracer("test").start_as_current_span("work") as span:
                span.set_status(trace.StatusCode.ERROR, "broken")
    """
    env = {"OTEL_MONITOR_DEFAULT_DURATION": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    run = launch(source, env=env)
    assert " ALERT firing " in run.stderr
    events = {record.event_name: record for record in receiver.received.logs()}
    alert = events["otel_monitor.alert.state_change"]
    assert alert.trace_id in {span.trace_id for span in receiver.received.spans()}
    assert "otel_monitor.alerts.transitions" in receiver.received.metric_names()


def test_the_end_waits_as_long_as_the_setting_says(launch: Launcher) -> None:
    with black_hole() as endpoint:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        short = launch(SPANS, env={**env, "OTEL_MONITOR_SHUTDOWN_TIMEOUT": "0.2"})
        long = launch(SPANS, env={**env, "OTEL_MONITOR_SHUTDOWN_TIMEOUT": "3"})
    assert 0.2 <= short.exit_s < 2
    assert 3 <= long.exit_s < 5


def test_a_user_who_interrupts_the_wait_at_the_end_is_obeyed(launch: Launcher) -> None:
    with black_hole() as endpoint:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_MONITOR_SHUTDOWN_TIMEOUT": "30"}
        # a job that a shell has put into the background inherits an ignored SIGINT: here it is a user's again
        interruptible = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        source = SPANS + interruptible + "import atexit\natexit.register(print, 'at the end', flush=True)\n"
        program = launch.start(source, env=env)
        program.wait_for("at the end")
        program.send(signal.SIGINT)
        program.wait(10)
    assert "Traceback" not in program.stderr


def test_what_a_later_exit_handler_of_the_program_records_does_not_hurt(launch: Launcher, receiver: Receiver) -> None:
    source = """
        import atexit
        from opentelemetry import metrics, trace
        def handler(text):
            trace.get_tracer("test").start_span(text).end()
            metrics.get_meter("test").create_counter("orders").add(1)
            print(text)
        atexit.register(handler, "in time")
    """
    run = launch(source, env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    assert (run.code, run.stdout, run.lines) == (0, "in time\n", [])
    assert receiver.received.span_names() == ["in time"]
