# SPDX-License-Identifier: Apache-2.0
"""The signals of this process, as a descriptor to poll with others.

For the main thread of a process that does nothing else, as the command line's is: handlers are
per process. They are restored at the end.
"""

from __future__ import annotations

# Not signal: it makes an enumeration's member of each number, in 400 calls for one `exec`.
import _signal as signal  # type: ignore[import-not-found]
import os
from collections.abc import Iterable
from typing import Any

from pyrunc.errors import Interrupted
from pyrunc.kernel.calls import pipe

# These ask a command to end; it then undoes what it has done.
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# The kernel sends these for a fault of the process itself. A Python handler would run after the
# return to the faulting instruction, that is never.
_FAULTS = (
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP,
    signal.SIGSYS, signal.SIGABRT,
)  # fmt: skip
# Besides those: what cannot be caught. libc's own signals are not among the valid ones.
_NOT = (*_FAULTS, signal.SIGKILL, signal.SIGSTOP)
ALL = tuple(n for n in sorted(signal.valid_signals()) if n not in _NOT)
_JOB_CONTROL = (signal.SIGTTIN, signal.SIGTTOU)
_MOST = 4096


class Signals:
    """The signals that have arrived since this object was made.

    Args:
        numbers: which ones are caught. An ending one that the caller ignores (nohup(1), a
            shell's background job) does not interrupt this command, but `take` returns it.

    Raises:
        ValueError: not in the main thread.
    """

    def __init__(self, numbers: Iterable[int] = ALL) -> None:
        self._kept = b""
        self._ignored: set[int] = set()
        self._before: dict[int, Any] = {}
        self._reader, self._writer = pipe("catch signals", blocking=False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            if number in ENDING and signal.getsignal(number) is signal.SIG_IGN:
                # This command goes on; the signal is still forwarded to a program.
                self._ignored.add(number)
            # Ignored, a background job's read fails with EIO instead of being retried for ever.
            handler = signal.SIG_IGN if number in _JOB_CONTROL else _noted
            try:
                self._before[number] = signal.signal(number, handler)
            except (OSError, ValueError):
                continue  # not supported by this kernel or libc
        _forks[:] = self._before

    def fileno(self) -> int:
        """A descriptor that is readable when a signal has arrived."""
        return self._reader.fileno()

    def check(self) -> None:
        """Keep what has arrived for `take`.

        Raises:
            Interrupted: a signal asks this command to end.
        """
        self._kept += self._read()
        for number in self._kept:
            if number in ENDING and number not in self._ignored:
                self._kept = b""  # so that only a further signal interrupts the rollback
                raise Interrupted(number)

    def take(self) -> bytes:
        """The numbers of the signals that have arrived since the last call."""
        found, self._kept = self._kept + self._read(), b""
        return found

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno(), _MOST)
        except BlockingIOError:
            return b""

    def restore(self) -> None:
        """Restore the handlers from before."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            if handler is not None:
                signal.signal(number, handler)
        _forks.clear()
        self._reader.close()
        self._writer.close()

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


# The handlers that a fork by Python has to drop. pyroute2 forks a helper and ends it by SIGTERM;
# the pipe is shared, and the parent would take the signal for its own.
_forks: list[int] = []


def _forget() -> None:
    if _forks and signal.getsignal(signal.SIGTERM) is _noted:
        signal.set_wakeup_fd(-1)
        for number in _forks:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)


def _noted(number: int, frame: object) -> None:
    """Nothing: it has been written to the wakeup descriptor."""
