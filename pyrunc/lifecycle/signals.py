# SPDX-License-Identifier: Apache-2.0
"""The signals of this process, as something that can be waited for beside all else.

For the main thread of a process that does nothing else, as the command line's is: handlers are
the process's own. They are put back at the end.
"""

from __future__ import annotations

# Not signal: it makes an enumeration's member of each number, in 400 calls for one `exec`.
import _signal as signal  # type: ignore[import-not-found]
import os
from collections.abc import Iterable
from typing import Any

from pyrunc.errors import Interrupted
from pyrunc.kernel.process import pipe

# What asks a command to end; what it has done by then it undoes.
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# The kernel sends these for a fault of the process's own. A handler in Python runs after the
# return to the faulting instruction, that is never.
_FAULTS = (
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP,
    signal.SIGSYS, signal.SIGABRT,
)  # fmt: skip
# Nor what no process can catch, nor what libc keeps for itself.
_NOT = (*_FAULTS, signal.SIGKILL, signal.SIGSTOP)
ALL = tuple(n for n in sorted(signal.valid_signals()) if n not in _NOT)
_JOB_CONTROL = (signal.SIGTTIN, signal.SIGTTOU)
_MOST = 4096


class Signals:
    """Signals that have come, from the making of this object on.

    Args:
        numbers: which ones are caught. Of the ending ones one that the caller has had ignored
            (nohup(1), a shell's background job) stays so, unless all are to be passed on.

    Raises:
        ValueError: not in the main thread.
    """

    def __init__(self, numbers: Iterable[int] = ALL) -> None:
        self._kept = b""
        self._ignored: set[int] = set()
        self._before: dict[int, Any] = {}
        self.reader, self._writer = pipe("catch signals", blocking=False)
        try:
            self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        except BaseException:
            os.close(self.reader)
            os.close(self._writer)
            raise
        for number in numbers:
            if number in ENDING and signal.getsignal(number) is signal.SIG_IGN:
                # nohup, or a shell's background job: it is to go on. A program gets them.
                self._ignored.add(number)
            # A background job's read then fails with EIO, and is not tried for ever.
            handler = signal.SIG_IGN if number in _JOB_CONTROL else _noted
            try:
                self._before[number] = signal.signal(number, handler)
            except (OSError, ValueError):
                continue  # one that this kernel or libc has no more
        _forks[:] = self._before

    def fileno(self) -> int:
        """A descriptor that is readable when a signal has come."""
        return self.reader

    def check(self) -> None:
        """Keep what has come for `take`.

        Raises:
            Interrupted: this command is asked to end.
        """
        self._kept += self._read()
        for number in self._kept:
            if number in ENDING and number not in self._ignored:
                self._kept = b""  # told; what is undone now is ended by the next one only
                raise Interrupted(number)

    def take(self) -> bytes:
        """The numbers of the signals that have come since the last call."""
        found, self._kept = self._kept + self._read(), b""
        return found

    def _read(self) -> bytes:
        try:
            return os.read(self.reader, _MOST)
        except BlockingIOError:
            return b""

    def restore(self) -> None:
        """Let the signals do again what they did before."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            if handler is not None:
                signal.signal(number, handler)
        _forks.clear()
        os.close(self.reader)
        os.close(self._writer)

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


# What a child of Python's has to forget. pyroute2 forks a helper and ends it by SIGTERM, and the
# pipe is the parent's as well: it would take the signal for its own.
_forks: list[int] = []


def _forget() -> None:
    if _forks and signal.getsignal(signal.SIGTERM) is _noted:
        signal.set_wakeup_fd(-1)
        for number in _forks:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)


def _noted(number: int, frame: object) -> None:
    """The wakeup descriptor has it already."""
