"""The command ``offramp``: its start and its end, with an exit status for each way to end.

Nothing that takes time is imported at the top: before `main` is in charge, Ctrl-C is Python's.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["main", "raise_again"]

_INTERRUPTED = 128 + signal.SIGINT
_AGAIN_S = 0.02


def main() -> None:
    """Run the command line and end the process; Ctrl-C ends it at any moment, with no traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may ignore it
        signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = raise_again
    try:
        from offramp.commands import run_command

        status = run_command(sys.argv[1:])
    except KeyboardInterrupt:
        status = _INTERRUPTED
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nobody catches it while Python shuts down
    sys.exit(status)


def raise_again(lost: Any) -> None:
    """Raise a little later what asks for the end: C code that calls Python drops what is raised.

    Off the main thread nothing asks for it, and no signal could be set.
    """
    if threading.current_thread() is not threading.main_thread():
        sys.__unraisablehook__(lost)
    elif isinstance(lost.exc_value, SystemExit):
        status = lost.exc_value.code
        _raise_soon(lambda *_: sys.exit(status))
    elif issubclass(lost.exc_type, KeyboardInterrupt):
        _raise_soon(_interrupt)
    else:
        sys.__unraisablehook__(lost)


def _raise_soon(raises: Callable[[int, FrameType | None], None]) -> None:
    signal.signal(signal.SIGALRM, raises)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Unwind, or end at once in an import: packages lose or rename what is raised in theirs."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            os._exit(_INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
