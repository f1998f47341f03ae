"""Programs that tests start: each in a process group of its own, with a deadline, killed to the last child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.polling import eventually

BIN = Path(sys.executable).parent


class Program:
    """One program that was started; what it prints goes to files, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, name: str) -> None:
        self.command = [str(word) for word in command]
        self._stdout = folder / f"{name}.stdout"
        self._stderr = folder / f"{name}.stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                self.command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout_s: float = 60.0) -> int:
        """Its exit code.

        Raises:
            AssertionError: it still ran after `timeout_s`; it and its children are killed then.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout_s:g} s: {self}") from None

    def wait_for(self, text: str, timeout_s: float = 30.0) -> None:
        """Wait until it has printed `text`, to either of its outputs."""

        def printed_or_ended() -> bool:
            return text in self.stdout + self.stderr or self.returncode is not None

        eventually(printed_or_ended, timeout_s, f"{text!r} in the output of {self}")
        assert text in self.stdout + self.stderr, f"ended without printing {text!r}: {self}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self._process.send_signal(number)

    def stop(self, timeout_s: float = 20.0) -> int:
        """Ask it to end as an operator would, and wait for that."""
        self._process.terminate()
        return self.wait(timeout_s)

    def kill(self) -> None:
        """Kill it with everything that it has started in its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __repr__(self) -> str:
        return f"{' '.join(self.command)}\n--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}"


class Processes:
    """The programs of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs: list[Program] = []

    def start(self, *command: str | Path, env: Mapping[str, str] | None = None) -> Program:
        """Start a program in the test's folder, with this process's environment and `env` on top of it.

        A command without a path is looked for beside the running interpreter first.
        """
        first = str(command[0])
        beside = BIN / first
        words = [str(beside) if os.sep not in first and beside.exists() else first, *map(str, command[1:])]
        name = f"{len(self._programs)}-{Path(first).name}"
        path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
        program = Program(words, {**os.environ, "PATH": path, **(env or {})}, self.folder, name)
        self._programs.append(program)
        return program

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 60.0) -> Program:
        """Start a program and wait for its end, whatever its exit code."""
        program = self.start(*command, env=env)
        program.wait(timeout_s)
        return program

    def kill_all(self) -> None:
        for program in reversed(self._programs):
            program.kill()
