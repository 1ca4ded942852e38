# SPDX-License-Identifier: Apache-2.0
"""Attends to a container in the foreground: its terminal, the caller's signals, its end.

For the main thread of a process that does nothing else, as the command line's is: signal
handlers and the terminal's mode are the process's own. They are put back at the end.
"""

from __future__ import annotations

import _signal
import os
import select

from pyrunc.errors import PyruncError
from pyrunc.kernel import process as kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from pyrunc.exits import Exit

    class Attended(Protocol):
        """A child of this process: a container's first process, or a further one."""

        def fileno(self) -> int: ...
        def wait(self) -> Exit: ...


_NOT_FORWARDED = frozenset((_signal.SIGCHLD, _signal.SIGWINCH, _signal.SIGURG))
_CHUNK = 65536


class Signals:
    """The caller's signals, as something to poll: installed before the container starts, so
    that none is missed."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._writer = writer
        self._before: dict[int, Any] = {}
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in range(1, _signal.NSIG):
            try:
                self._before[number] = _signal.signal(number, _noted)
            except (OSError, ValueError):
                continue  # SIGKILL, SIGSTOP, and those that libc keeps for itself

    def take(self) -> bytes:
        """The numbers of the signals that have come."""
        try:
            return os.read(self.reader, _CHUNK)
        except BlockingIOError:
            return b""

    def restore(self) -> None:
        _signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            if handler is not None:
                _signal.signal(number, handler)
        os.close(self.reader)
        os.close(self._writer)


def _noted(number: int, frame: object) -> None:
    """The wakeup descriptor has it already."""


class Terminal:
    """The caller's terminal in raw mode, joined to the container's.

    Args:
        master: of the container's pty; owned by this object.
    """

    def __init__(self, master: int) -> None:
        import termios

        self.master = master
        self.host = _host_terminal()
        self._termios = termios
        self._before = termios.tcgetattr(self.host)
        raw = termios.tcgetattr(self.host)
        raw[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
            | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        raw[1] &= ~termios.OPOST
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        inner = termios.tcgetattr(master)
        inner[1] &= ~termios.ONLCR  # the outer terminal must not see line ends doubled
        termios.tcsetattr(master, termios.TCSANOW, inner)
        termios.tcsetattr(self.host, termios.TCSANOW, raw)
        self.resize()

    def resize(self) -> None:
        kernel.copy_window_size(self.host, self.master)

    def restore(self) -> None:
        self._termios.tcsetattr(self.host, self._termios.TCSANOW, self._before)
        os.close(self.master)


def _host_terminal() -> int:
    for fd in (2, 1, 0):
        if os.isatty(fd):
            return fd
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        raise PyruncError("open /dev/tty: no such device or address") from None


def receive_master(socket: Any) -> int:
    """The terminal's master from the other end of a console socket."""
    _, ancillary, _, _ = socket.recvmsg(4096, 32)
    for _, _, data in ancillary:
        fd = int.from_bytes(data[:4], "little")
        os.set_inheritable(fd, False)
        return fd
    raise PyruncError("the container sent no terminal")


def attend(process: Attended, signals: Signals, terminal: Terminal | None) -> Exit:
    """Forward signals and the terminal until the process has ended.

    Args:
        process: a child of this process.
        signals: installed before it was started.
        terminal: its terminal, if it has one.
    """
    pidfd = process.fileno()
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(signals.reader, select.POLLIN)
    if terminal:
        poll.register(0, select.POLLIN)
        poll.register(terminal.master, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if signals.reader in ready:
            _forward(process, signals.take(), terminal)
        if terminal and terminal.master in ready:
            if not _copy(terminal.master, 1):
                poll.unregister(terminal.master)
        elif pidfd in ready:  # only once the terminal has nothing left
            return process.wait()
        if terminal and 0 in ready and not _copy(0, terminal.master):
            poll.unregister(0)


def _forward(process: Attended, numbers: bytes, terminal: Terminal | None) -> None:
    for number in numbers:
        if number == _signal.SIGWINCH and terminal:
            terminal.resize()
        elif number not in _NOT_FORWARDED:
            try:
                _signal.pidfd_send_signal(process.fileno(), number)
            except ProcessLookupError:
                return


def _copy(source: int, target: int) -> bool:
    """Move one chunk; False at the end. A pty without a slave ends with EIO."""
    try:
        data = os.read(source, _CHUNK)
    except OSError:
        return False
    rest = data
    while rest:
        rest = rest[os.write(target, rest) :]
    return bool(data)
