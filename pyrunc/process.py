# SPDX-License-Identifier: Apache-2.0
"""A further process of a container, in the shape of subprocess.Popen; made by `Container.popen`."""

from __future__ import annotations

import os
import select
from _thread import allocate_lock  # not threading: docs/static.md
from collections.abc import Callable
from signal import SIGKILL, SIGTERM
from time import monotonic
from typing import BinaryIO

from pyrunc.errors import PyruncError
from pyrunc.exits import Exit
from pyrunc.lifecycle import children
from pyrunc.lifecycle.handshake import Child

# As subprocess names them.
PIPE, STDOUT, DEVNULL = -1, -2, -3
_CHUNK = 65536


class Process:
    """A process that runs in a container.

    As a context manager its pipes are closed and it is waited for at the end of the block.

    Attributes:
        args: the program and its arguments.
        pid: as this process sees it.
        stdin, stdout, stderr: our ends of the requested pipes, else None.
        terminal: the master of its terminal if one was requested, else None.
        timed_out: whether it was killed on a timeout.
        left_behind: why its own cgroup could not be removed, or "".
    """

    def __init__(self, args: tuple[str, ...], child: Child) -> None:
        self.args = args
        self.pid = child.pid
        self.stdin: BinaryIO | None = None
        self.stdout: BinaryIO | None = None
        self.stderr: BinaryIO | None = None
        self.terminal: BinaryIO | None = None
        self.timed_out = False
        self.left_behind = ""
        self._pidfd = child.take_pidfd()
        self._sub_cgroup = child.take_sub_cgroup()
        self._exit: Exit | None = None
        self._oom_kills: Callable[[], int] | None = None
        self._killed = self._killed_before = 0
        self._reaping = allocate_lock()
        children.add(self)

    def fileno(self) -> int:
        """A pidfd: readable once the process has ended."""
        return self._pidfd.fileno()

    def poll(self) -> Exit | None:
        """How it has ended, or None while it runs."""
        try:
            return self.wait(0)
        except TimeoutError:
            return None

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until it has ended.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            How it ended.

        Raises:
            TimeoutError: it still runs.
        """
        if self._exit is not None:
            return self._exit
        if not self._pidfd.has_ended(timeout):
            raise TimeoutError(f"process {self.pid} still runs")
        with self._reaping:  # a wait for the container reaps it too (children.py)
            return self._exit or self._reap()

    def _reap(self) -> Exit:
        # None: another thread of this process has taken the status.
        code, signal = self._pidfd.reap() or (None, 0)
        oom = bool(signal) and self._was_oom(signal)
        self._exit = Exit(code, signal, oom, self.timed_out)
        self._end_rest()
        return self._exit

    def _was_oom(self, signal: int) -> bool:
        self._count_oom_kills()
        return signal == SIGKILL and self._killed > self._killed_before

    def watch_oom(self, oom_kills: Callable[[], int], before: int) -> None:
        """Tell an OOM kill from another one, by the count of its cgroup.

        Args:
            oom_kills: returns the number of OOM kills in its cgroup.
            before: that number before it was started.
        """
        self._oom_kills = oom_kills
        self._killed = self._killed_before = before

    def _count_oom_kills(self) -> None:
        """Read the count for the last time: the cgroup is about to be removed."""
        if self._oom_kills is not None:
            self._killed, self._oom_kills = self._oom_kills(), None

    def _end_rest(self) -> None:
        """Kill what it has left in a cgroup of its own."""
        if self._sub_cgroup is not None:
            sub_cgroup, self._sub_cgroup = self._sub_cgroup, None
            try:
                self._count_oom_kills()
                sub_cgroup.end()
            except PyruncError as error:
                self.left_behind = str(error)

    def send_signal(self, signal: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self._exit is None:
            self._pidfd.send_signal(signal)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        """Kill it, and all that it has started if it has a cgroup of its own."""
        self.send_signal(SIGKILL)
        self._end_rest()

    def communicate(
        self, data: bytes | None = None, timeout: float | None = None
    ) -> tuple[bytes | None, bytes | None]:
        """Write its input, read its output until the end, and wait for it.

        Args:
            data: for its standard input, which is closed afterwards.
            timeout: seconds, after which it is killed with all that it has started.

        Returns:
            What it has written to stdout and stderr; None for one that is not a pipe.

        Raises:
            TimeoutError: it ran out of time, and has been killed; its `output` and `errors`
                are what it has written so far.
        """
        deadline = None if timeout is None else monotonic() + timeout
        kept: dict[int, bytearray] = {
            pipe.fileno(): bytearray() for pipe in (self.stdout, self.stderr) if pipe
        }
        in_time = self._exchange(kept, memoryview(data or b""), deadline)
        if in_time and deadline is not None:
            in_time = self._pidfd.has_ended(max(0.0, deadline - monotonic()))
        if not in_time:
            self.timed_out = True
            self.kill()
        self.wait()
        output, errors = (
            bytes(kept[pipe.fileno()]) if pipe else None for pipe in (self.stdout, self.stderr)
        )
        if not in_time:
            raise ExecTimeout(self.args, timeout or 0.0, output, errors)
        return output, errors

    def _exchange(
        self, kept: dict[int, bytearray], data: memoryview, deadline: float | None
    ) -> bool:
        """Copy in both directions; whether all pipes ended before the deadline."""
        poll = select.poll()
        open_ends = set(kept)
        for fd in open_ends:
            poll.register(fd, select.POLLIN)
        writer = self.stdin.fileno() if self.stdin else -1
        if writer >= 0:
            os.set_blocking(writer, False)
            poll.register(writer, select.POLLOUT)
        while open_ends or writer >= 0:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            ready = dict(poll.poll(None if left is None else left * 1000))
            if not ready and deadline is not None and monotonic() >= deadline:
                return False
            if writer in ready:
                data = _give(writer, data)
                if not data:
                    poll.unregister(writer)
                    self._close_stdin()
                    writer = -1
            for fd in open_ends.intersection(ready):
                chunk = os.read(fd, _CHUNK)
                kept[fd] += chunk
                if not chunk:
                    poll.unregister(fd)
                    open_ends.discard(fd)
        return True

    def _close_stdin(self) -> None:
        if self.stdin:
            self.stdin.close()
            self.stdin = None

    def detach(self) -> None:
        """Let go of the process, and leave its exit status to others.

        For a program that ends at once, as `pyrunc exec --detach` does: the process then becomes
        the child of a subreaper, which waits for it (PR_SET_CHILD_SUBREAPER(2const)). One that is
        only forgotten is reaped here.
        """
        self._pidfd.close()

    def close(self) -> None:
        """Close our ends of its pipes and terminal; `fileno` stays."""
        for end in (self.stdin, self.stdout, self.stderr, self.terminal):
            if end:
                end.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.wait()

    def __del__(self) -> None:
        if self._exit is None and self._pidfd.is_open:
            children.abandon(self._pidfd)


class ExecTimeout(PyruncError, TimeoutError):
    """A process ran out of time and was killed.

    Attributes:
        cmd: its program and arguments.
        timeout: seconds.
        output, errors: what it had written, None for one that was not a pipe.
    """

    code = "timeout"

    def __init__(
        self, cmd: tuple[str, ...], timeout: float, output: bytes | None, errors: bytes | None
    ) -> None:
        super().__init__(f"{cmd[0]} ran past its {timeout:g} seconds and was killed")
        self.cmd = cmd
        self.timeout = timeout
        self.output = output
        self.errors = errors


class Completed:
    """A process that has ended, as `Container.exec` returns it.

    Attributes:
        args: the program and its arguments.
        exit: how it ended.
        stdout, stderr: what it wrote, None unless captured.
    """

    __slots__ = ("args", "exit", "stderr", "stdout")

    def __init__(
        self, args: tuple[str, ...], exit: Exit, stdout: bytes | None, stderr: bytes | None
    ) -> None:
        self.args = args
        self.exit = exit
        self.stdout = stdout
        self.stderr = stderr

    @property
    def code(self) -> int | None:
        """Its exit status, or 128 + signal."""
        return self.exit.code

    def __repr__(self) -> str:
        return f"Completed(args={self.args!r}, exit={self.exit!r})"


class ExecFailed(PyruncError):
    """With `check`, a process ended with another exit code than 0.

    Attributes:
        completed: how it ended, and what it wrote.
    """

    code = "exit"

    def __init__(self, completed: Completed) -> None:
        words = (completed.stderr or b"").decode(errors="replace").strip().rpartition("\n")[2]
        ended = f"{completed.args[0]}: exit code {completed.code}, {completed.exit.reason}"
        super().__init__(f"{ended}: {words}" if words else ended)
        self.completed = completed


def _give(fd: int, data: memoryview) -> memoryview:
    """Write what the pipe takes, and return the rest; without a reader there is none."""
    try:
        return data[os.write(fd, data[:_CHUNK]) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]
