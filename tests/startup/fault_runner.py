"""Runs a program once for every guarded hook of ours, with that hook raising, each time in a forked child.

Usage: fault_runner.py PROGRAM REPORT PART PARTS. The report is JSON: by site, how the program went. The site "" is
the program without us, "none" with us and without a fault. Of the other sites every PARTS-th is tried.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import otel_monitor
import otel_monitor_processors
from otel_monitor_processors import guard

WITHOUT_US = ""
NO_FAULT = "none"
_LONGEST_S = 30.0
_NOT_HOOKS = ("otel_monitor.cli", "otel_monitor.demo", "otel_monitor.__main__", "otel_monitor.environment_variables")


_LARGE = (
    "asyncio",
    "requests",
    *(f"opentelemetry.exporter.otlp.proto.http.{kind}_exporter" for kind in ("trace", "metric")),
)


def import_everything() -> None:
    """All our modules, so that their sites are known, and what is large, so that the children start quickly."""
    for name in _LARGE:
        importlib.import_module(name)
    for package in (otel_monitor, otel_monitor_processors):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith(_NOT_HOOKS):
                importlib.import_module(module.name)


def run_in_child(program: str, site: str) -> dict[str, Any]:
    """How the program went with a fault in `site`."""
    folder = Path(tempfile.mkdtemp())
    pid = os.fork()
    if pid == 0:
        become(program, site, folder)
    code = wait(pid)
    hits = folder / "hits"
    told = json.loads(hits.read_text()) if hits.exists() else {"sites": [], "hits": 0}
    outputs = {name: (folder / name).read_text() for name in ("stdout", "stderr")}
    shutil.rmtree(folder)
    return {"code": code, **outputs, **told}


def become(program: str, site: str, folder: Path) -> None:
    """In the child: run the program, to its own end, and this process's."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    pid = os.getpid()
    atexit.register(lambda: report(folder / "hits", site) if os.getpid() == pid else None)
    if site != WITHOUT_US:
        if site != NO_FAULT:
            guard.SITES.setdefault(site, guard.Site(site)).fault = RuntimeError("injected")
        from opentelemetry.instrumentation.auto_instrumentation import initialize

        initialize()
    sys.argv = [program]
    runpy.run_path(program, run_name="__main__")
    sys.exit(0)


def report(path: Path, site: str) -> None:
    """Registered first, so that it runs last."""
    hits = guard.SITES[site].errors if site in guard.SITES else 0
    path.write_text(json.dumps({"sites": list(guard.SITES), "hits": hits}))


def wait(pid: int) -> int:
    """The child's exit code; 999 when it hung and was killed."""
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return 999


def main() -> None:
    program, destination, part, parts = sys.argv[1:]
    import_everything()
    results = {site: run_in_child(program, site) for site in (WITHOUT_US, NO_FAULT)}
    for site in sorted(results[NO_FAULT]["sites"])[int(part) :: int(parts)]:
        results[site] = run_in_child(program, site)
    Path(destination).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
