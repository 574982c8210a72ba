"""Processes: the commands that the demo starts, watches and always ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from offramp.errors import OfframpError

__all__ = ["Child", "offramp_command"]

_LISTENING = re.compile(r"^listening on (\S+)$", re.MULTILINE)
_POLL_S = 0.02
_GRACE_S = 5.0
_LAST_LINES = 3


def offramp_command(*arguments: object) -> list[str]:
    """Return the words that run a sub-command of ``offramp`` with this Python."""
    main = "from offramp.cli import main; main()"
    return [sys.executable, "-P", "-c", main, *map(str, arguments)]


class Child:
    """A process in a group of its own, ended when the ``with`` block is left.

    Its outputs go to ``NAME.out`` and ``NAME.err`` in a folder.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self._out = folder / f"{name}.out"
        self._err = folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file of what it says on standard error."""
        return self._err

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def address(self, limit_s: float) -> str:
        """Wait until the process says where it listens, and return that."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            found = _LISTENING.search(self._out.read_text(errors="replace"))
            if found:
                return found[1]
            self.check()
            time.sleep(_POLL_S)
        raise OfframpError(
            f"{self.name} did not say where it listens within {limit_s:g} s{self._last_words()}"
        )

    def check(self) -> None:
        """Raise `OfframpError` with the process's last words if it has ended."""
        status = self._process.poll()
        if status is not None:
            raise OfframpError(f"{self.name} ended with status {status}{self._last_words()}")

    def ended(self) -> bool:
        """Return whether the process has ended well; raise `OfframpError` if it has failed."""
        if self._process.poll() not in (None, 0):
            self.check()
        return self._process.returncode == 0

    def wait(self, limit_s: float, beside: Sequence[Child] = ()) -> None:
        """Wait until the process ends well, while those beside it must go on."""
        until_s = time.monotonic() + limit_s
        while not self.ended():
            for other in beside:
                other.check()
            if time.monotonic() >= until_s:
                raise OfframpError(f"{self.name} did not end within {limit_s:g} s")
            time.sleep(_POLL_S)

    def end(self) -> None:
        """Ask the process's group to end, and kill it if it does not."""
        if self._process.poll() is not None:
            return
        try:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        finally:  # also when a second Ctrl-C cuts the wait short
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _last_words(self) -> str:
        lines = self._err.read_text(errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()][-_LAST_LINES:]
        return f": {'; '.join(words)}" if words else f"; its log {self._err} is empty"
