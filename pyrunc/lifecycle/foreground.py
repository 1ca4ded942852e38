# SPDX-License-Identifier: Apache-2.0
"""Serves a container in the foreground: its streams, the caller's signals, its end.

For the main thread of a process that does nothing else, as the command line's is: signal
handlers and the terminal's mode are per process. They are restored at the end.
"""

from __future__ import annotations

import os
import select
import signal
import termios
from typing import Any, Protocol

from pyrunc.errors import KernelError, PyruncError
from pyrunc.exits import Exit
from pyrunc.kernel import calls, rights
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import send_signal
from pyrunc.lifecycle.launch import Descriptors
from pyrunc.lifecycle.signals import Signals


class Served(Protocol):
    """A child of this process: a container's first process, or a further one."""

    def fileno(self) -> int: ...
    def wait(self) -> Exit: ...


_NOT_FORWARDED = frozenset((signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG))
_CHUNK = 65536
_LITTLE = 1024
# How often to retry a terminal that answers a background job's read with EIO, and a program that
# does not read its input.
_ASK_AGAIN_MS = 200


class Copy:
    """Copies bytes from one descriptor to another, until the first one ends.

    Args:
        source, target: the descriptors, lent.
        inward: from the caller to the program, which may stop reading for any time.
        closes: the target, where it is closed at the end, so that its reader sees that.

    Attributes:
        waits: it has to be retried later, for a reason that poll(2) does not report.
    """

    def __init__(
        self, source: int, target: int, *, inward: bool = False, closes: Descriptor | None = None
    ) -> None:
        self.source = source
        self.target = target
        self.inward = inward
        self.closes = closes
        self.waits = False

    def step(self) -> bool:
        """Copy one chunk; False at the end."""
        # A full pipe would hold up the signals too; a writable one has room for _LITTLE.
        self.waits = self.inward and not _takes(self.target)
        if self.waits:
            return True
        try:
            data = os.read(self.source, _LITTLE if self.inward else _CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            # EIO: a pty without a slave, or a terminal with another job in the foreground.
            self.waits = _is_background(self.source)
            return self.waits
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self.target, rest) :]
        except OSError:
            data = b""  # there is no reader any more
        return bool(data)

    def end(self) -> None:
        if self.closes:
            self.closes.close()


def _takes(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def _is_background(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False  # not a terminal, or one that has hung up


class Pipes:
    """Pipes instead of the caller's terminal, for a program without a terminal of its own.

    With the caller's it could read what is typed long after this command has ended, and type
    into it (TIOCSTI). Pipes and files are passed on as they are.

    Args:
        given: the caller's descriptors for 0, 1 and 2.

    Attributes:
        stdio: the program's.
    """

    def __init__(self, given: tuple[int, int, int] = (0, 1, 2)) -> None:
        self.copies: list[Copy] = []
        self._theirs = Descriptors()
        self._ours = Descriptors()
        stdio = [*given]
        for index, fd in enumerate(given):
            if not os.isatty(fd):
                continue
            reader, writer = calls.pipe("copy the terminal")
            stdio[index] = self._theirs.keep(writer if index else reader)
            if index == 0:
                self.copies.append(Copy(fd, writer.fileno(), inward=True, closes=writer))
            else:
                self.copies.append(Copy(self._ours.keep(reader), fd))
        self.stdio = (stdio[0], stdio[1], stdio[2])

    def started(self) -> None:
        """The program has its ends now, and must be the only one."""
        self._theirs.close()

    def resize(self) -> None:
        """There is no terminal to resize."""

    def restore(self) -> None:
        self.started()
        for copy in self.copies:
            copy.end()
        self._ours.close()


class Terminal:
    """The caller's terminal in raw mode, connected to the container's.

    Args:
        master: of the container's pty; becomes this object's.
    """

    def __init__(self, master: Descriptor) -> None:
        self._master = master
        self._opened = Descriptor()  # /dev/tty, where no stream is the terminal
        try:
            self._prepare()
        except BaseException:
            self._close()
            raise
        number = master.fileno()
        self.copies = [Copy(number, 1), Copy(0, number, inward=True)]
        self.resize()

    def _prepare(self) -> None:
        host = next((fd for fd in (2, 1, 0) if os.isatty(fd)), -1)
        if host < 0:
            self._opened = _controlling_terminal()
            host = self._opened.fileno()
        self._host = host
        self._before = _mode_of(self._host)
        raw = _mode_of(self._host)
        raw[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
            | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        # Line ends become CR LF only once: outside, where OPOST stays, as in runc; so the output
        # of others on the terminal, as of a background job, keeps its line ends.
        raw[1] |= termios.OPOST
        inner = _mode_of(self._master.fileno())
        inner[1] &= ~termios.ONLCR
        _set_mode(self._master.fileno(), inner)
        _set_mode(self._host, raw)

    def resize(self) -> None:
        calls.copy_window_size(self._host, self._master.fileno())

    def restore(self) -> None:
        try:
            _set_mode(self._host, self._before)
        except PyruncError:
            pass  # it has hung up
        self._close()

    def _close(self) -> None:
        self._master.close()
        self._opened.close()


def _mode_of(fd: int) -> list[Any]:
    try:
        return termios.tcgetattr(fd)
    except termios.error as error:  # not an OSError
        raise KernelError("read the mode of the terminal", "tcgetattr", error.args[0]) from None


def _set_mode(fd: int, mode: list[Any]) -> None:
    # In a background job this raises SIGTTOU; it works if that is blocked or ignored.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
    try:
        termios.tcsetattr(fd, termios.TCSANOW, mode)
    except termios.error as error:
        raise KernelError("set the mode of the terminal", "tcsetattr", error.args[0]) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _controlling_terminal() -> Descriptor:
    try:
        return opened("/dev/tty", os.O_RDWR)
    except OSError:
        raise PyruncError("open /dev/tty: no such device or address") from None


def receive_master(socket: Any) -> Descriptor:
    """The terminal's master from the other end of a console socket."""
    _, found = rights.receive(socket, 4096)
    if not found:
        raise PyruncError("the container sent no terminal")
    return found[0]


def serve(process: Served, signals: Signals, streams: Terminal | Pipes) -> Exit:
    """Forward signals and copy streams until the process has ended.

    Args:
        process: a child of this process.
        signals: installed before it was started.
        streams: its terminal, or the pipes instead of the caller's.
    """
    pidfd = process.fileno()
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(signals, select.POLLIN)
    copies = {copy.source: copy for copy in streams.copies}
    for fd in copies:
        poll.register(fd, select.POLLIN)
    waiting: list[int] = []
    while True:
        ready = dict(poll.poll(_ASK_AGAIN_MS if waiting else None))
        while waiting:
            poll.register(waiting.pop(), select.POLLIN)
        if signals.fileno() in ready:
            _forward(process, signals.take(), streams)
        idle = True  # no output is left
        for fd in [fd for fd in ready if fd in copies]:
            idle = idle and copies[fd].inward
            if not copies[fd].step():
                poll.unregister(fd)
                copies.pop(fd).end()
            elif copies[fd].waits:
                poll.unregister(fd)
                waiting.append(fd)
        if pidfd in ready and idle:
            return process.wait()


def _forward(process: Served, numbers: bytes, streams: Terminal | Pipes) -> None:
    for number in numbers:
        if number == signal.SIGWINCH:
            streams.resize()
        elif number not in _NOT_FORWARDED:
            send_signal(process.fileno(), number)
