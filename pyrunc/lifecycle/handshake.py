# SPDX-License-Identifier: Apache-2.0
"""The creating process's side of the talk with pyrunc-init.

    parent                                 pyrunc-init
      │ spawn ────────────────────────────────►│
      │◄──────────────────────────── cgroup ───┤  only where systemd makes a scope around it
      ├─ have it made ─ go ───────────────────►│
      │◄────────────────────────────── maps ───┤  only with a new user namespace
      ├─ write uid_map, gid_map ─ go ─────────►│
      │◄──────────────────────────── clocks ───┤  only with linux.timeOffsets
      ├─ write timens_offsets ─ go ───────────►│
      │◄─────────────────── forked (pidfd) ────┤  only where a fork is needed; this stage ends
      ├─ reap it ─ go ────────────────────────►│
      │◄───────────────────────────── hooks ───┤  only with prestart or createRuntime hooks
      ├─ run them ─ go ───────────────────────►│
      │◄──────────────────────────── limits ───┤  only with rlimits or oomScoreAdj
      ├─ set them ─ go ───────────────────────►│
      │◄────────────────────────── listener ───┤  only with SCMP_ACT_NOTIFY
      ├─ hand it to the agent ─ go ───────────►│
      │◄──────────────────────────── parked ───┤  all is done, the program is found
      ├─ save the state ─ go ─────────────────►│  waits for `start`

At any point `failure` may come instead. What comes is not trusted (security R27): fixed-size
messages, numbers checked, no paths.
"""

from __future__ import annotations

import os
import select
from _struct import Struct

from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel import process as kernel
from pyrunc.plan import wire
from pyrunc.plan.steps import SendDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

    from pyrunc.cgroups.below import Leaf
    from pyrunc.plan.context import Plan

_MESSAGE = Struct("=IIIiIi")
_SOL_SOCKET, _SCM_RIGHTS, _MSG_CMSG_CLOEXEC = 1, 1, 0x40000000
_SPACE_FOR_ONE_FD = 24  # CMSG_SPACE(sizeof(int))
_OUTPUT_KEPT = 64 << 10


class Report:
    """One message of pyrunc-init, decoded and range-checked (it is not trusted)."""

    __slots__ = ("call", "errno", "kind", "reason", "step", "value")

    def __init__(self, fields: tuple[int, int, int, int, int, int], step_count: int) -> None:
        kind, step, call, error, reason, value = fields
        if kind >= len(wire.MESSAGES) or call >= len(wire.CALLS) or reason >= len(wire.REASONS):
            raise PyruncError("pyrunc-init sent a message that does not exist")
        if step >= max(step_count, 1):
            raise PyruncError("pyrunc-init names a step that does not exist")
        self.kind = wire.MESSAGES[kind]
        self.step = step
        self.call = wire.CALLS[call]
        self.errno = error
        self.reason = wire.REASONS[reason]
        self.value = value


class NotReady(PyruncError):
    """pyrunc-init has not done its steps in the time that it was given."""

    code = "not-ready"


class Child:
    """pyrunc-init while it makes itself ready.

    Args:
        pid: as spawned; changes when it forks.
        pidfd: of that process; owned by this object.
        sync: our end of the socket pair; owned.
        hook_output: read end of the pipe that hooks inside write to, or -1; owned.
        plan: what it runs.

    Attributes:
        directories: those that it has sent; owned by this object.
        leaf: a cgroup that is its alone, if it was given one.
    """

    __slots__ = ("directories", "hook_output", "leaf", "output", "pid", "pidfd", "plan", "sync")

    def __init__(self, pid: int, pidfd: int, sync: socket, hook_output: int, plan: Plan) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sync = sync
        self.hook_output = hook_output
        self.plan = plan
        self.output = b""
        self.directories: list[int] = []
        self.leaf: Leaf | None = None

    def close(self) -> None:
        self.sync.close()
        for fd in (self.hook_output, self.pidfd, *self.directories):
            if fd >= 0:
                os.close(fd)
        self.directories = []
        self.hook_output = self.pidfd = -1

    def go(self) -> None:
        """Let it go on."""
        try:
            self.sync.send(wire.GO)
        except OSError as error:
            raise KernelError("answer pyrunc-init", "send", error.errno or 0) from None

    def kill(self) -> None:
        """End it and take its exit status; it has run nothing of the container's program."""
        from _signal import pidfd_send_signal

        try:
            pidfd_send_signal(self.pidfd, 9)
        except ProcessLookupError:
            pass
        try:
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except ChildProcessError:
            pass

    def finish(self, *, kill: bool) -> int:
        """Take its exit status once it has ended, or has been killed.

        Returns:
            The exit code, or 128 + signal.
        """
        if kill:
            from _signal import pidfd_send_signal

            try:
                pidfd_send_signal(self.pidfd, 9)
            except ProcessLookupError:
                pass
        # First: it may be waiting for a word that never comes.
        self.sync.close()
        found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        self.close()
        assert found is not None
        signalled = found.si_code != os.CLD_EXITED
        return found.si_status + (128 if signalled else 0)

    def killed_by(self) -> int:
        """The signal that ended it, or 0. It stays to be reaped."""
        try:
            found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return 0
        return found.si_status if found and found.si_code != os.CLD_EXITED else 0

    def until_parked(
        self,
        answers: dict[str, Callable[[], None]],
        died: Callable[[], str],
        listener: Callable[[int], None],
        deadline: float | None = None,
    ) -> None:
        """Serve its requests until it is ready to be started.

        Args:
            answers: what to do for each kind of message before it may go on.
            died: says why it may have died without a word.
            listener: gets the descriptor of a seccomp listener.
            deadline: of time.monotonic(); who is in the container may hold it up for ever.

        Raises:
            NotReady: the deadline has passed.
            PyruncError: a step failed, or it died.
        """
        while True:
            if deadline is not None:
                self._await_until(deadline)
            report, fd = self._receive(died)
            if report.kind == "failure":
                from pyrunc.lifecycle.wording import exception_for

                raise exception_for(report, self.plan.steps[report.step], self._drain())
            if report.kind == "parked":
                return
            if report.kind == "forked":
                self._adopt(report.value, fd)
            elif report.kind == "directory" and fd >= 0 and self._may_send():
                self.directories.append(fd)
            elif report.kind == "listener":
                self._hand_over(fd if fd >= 0 else self._take(report.value), listener)
            elif report.kind in answers and fd < 0:
                answers[report.kind]()
            else:
                if fd >= 0:
                    os.close(fd)
                raise PyruncError(f"pyrunc-init asks for what is not its part: {report.kind}")
            self.go()

    def _may_send(self) -> bool:
        wanted = sum(1 for step in self.plan.steps if type(step) is SendDirectory)
        return len(self.directories) < wanted

    def _await_until(self, deadline: float) -> None:
        from time import monotonic

        poll = select.poll()
        poll.register(self.sync.fileno(), select.POLLIN)
        if not poll.poll(max(0.0, deadline - monotonic()) * 1000):
            raise NotReady("the process did not get ready in time; something holds it up")

    def _take(self, number: int) -> int:
        """A descriptor out of the process. Its number is the process's word, and is checked by
        what the agent does with it: whatever it is, it is the container's own."""
        return kernel.get_descriptor(self.pidfd, number)

    def _hand_over(self, fd: int, listener: Callable[[int], None]) -> None:
        try:
            listener(fd)
        finally:
            os.close(fd)

    def _adopt(self, pid: int, pidfd: int) -> None:
        """Its successor is our child too: the kernel says so, not the message."""
        if pidfd < 0 or _pid_of(pidfd) != pid:
            raise PyruncError("pyrunc-init sent no process")
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.pid, self.pidfd = pid, pidfd

    def _receive(self, died: Callable[[], str]) -> tuple[Report, int]:
        if self.hook_output >= 0:
            self._await_message()
        try:
            data, ancillary, _, _ = self.sync.recvmsg(
                _MESSAGE.size, _SPACE_FOR_ONE_FD, _MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            raise PyruncError(died()) from None
        fd = -1
        for level, kind, payload in ancillary:
            if (level, kind, len(payload)) == (_SOL_SOCKET, _SCM_RIGHTS, 4):
                fd = int.from_bytes(payload, "little" if _LITTLE else "big")
        if len(data) != _MESSAGE.size:
            raise PyruncError(died())
        return Report(_MESSAGE.unpack(data), len(self.plan.steps)), fd

    def _await_message(self) -> None:
        """Wait, and keep the hooks' pipe from filling up."""
        poll = select.poll()
        poll.register(self.sync.fileno(), select.POLLIN)
        poll.register(self.hook_output, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self.hook_output in ready:
                chunk = os.read(self.hook_output, _OUTPUT_KEPT)
                self.output = (self.output + chunk)[:_OUTPUT_KEPT]
                if not chunk:
                    poll.unregister(self.hook_output)
            if self.sync.fileno() in ready:
                return

    def _drain(self) -> bytes:
        if self.hook_output >= 0:
            os.set_blocking(self.hook_output, False)
            try:
                self.output += os.read(self.hook_output, _OUTPUT_KEPT)
            except BlockingIOError:
                pass
        return self.output


_LITTLE = Struct("=H").pack(1) == b"\1\0"


def _pid_of(pidfd: int) -> int:
    """The pid behind a pidfd, as the kernel tells it."""
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for line in os.read(fd, 4096).splitlines():
            if line.startswith(b"Pid:"):
                return int(line[4:])
    finally:
        os.close(fd)
    return -1
