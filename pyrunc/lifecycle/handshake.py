# SPDX-License-Identifier: Apache-2.0
"""The parent's side of the protocol with pyrunc-init.

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
      │◄─────────────────────────── network ───┤  only with linux.netDevices
      ├─ move them ─ go ──────────────────────►│
      │◄───────────────────────────── hooks ───┤  only with prestart or createRuntime hooks
      ├─ run them ─ go ───────────────────────►│
      │◄──────────────────────────── limits ───┤  only with rlimits or oomScoreAdj
      ├─ set them ─ go ───────────────────────►│
      │◄────────────────────────── listener ───┤  only with SCMP_ACT_NOTIFY
      ├─ hand it to the agent ─ go ───────────►│
      │◄──────────────────────────── parked ───┤  all is done, the program is found
      ├─ save the state ─ go ─────────────────►│  waits for `start`

At any point `failure` may come instead. What comes is not trusted: fixed-size messages, numbers
checked, of text a loader's name at most, and no message but the one that the plan has next. Nor
is it trusted to come: each wait also ends with the process's death, which the socket does not
show where a second stage holds the other end, and with a signal that asks this process to end.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from time import monotonic
from typing import NamedTuple

from pyrunc.cgroups.sub_cgroup import SubCgroup
from pyrunc.errors import KernelError, NotReady, PyruncError, reported
from pyrunc.kernel import calls, rights
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle import successor
from pyrunc.lifecycle.messages import exception_for
from pyrunc.lifecycle.report import MESSAGE, Report, messages
from pyrunc.lifecycle.signals import Signals
from pyrunc.plan import wire
from pyrunc.plan.plan import Plan

_OUTPUT_KEPT = 64 << 10
# A process that does not end after SIGKILL is held up by something else (a frozen v1 hierarchy,
# a dead NFS server), and ends when that lets go.
_DEATH_SECONDS = 10.0
# From the end of its socket to its exit.
_LAST_WORDS = 1.0


def _refuse_listener(_: int) -> None:
    raise PyruncError("unexpected message from pyrunc-init: a seccomp listener")


@dataclass
class Answers:
    """What is done for pyrunc-init when it asks.

    Args:
        steps: what to do for each kind of message before it may go on; for "forked", in addition
            to what `Child` does.
        died: says why it may have died without a message.
        listener: gets the descriptor of a seccomp listener, lent.
    """

    steps: dict[str, Callable[[], None]]
    died: Callable[[], str]
    listener: Callable[[int], None] = _refuse_listener


class Channel(NamedTuple):
    """Our end of the socket pair, and the inode of the other one."""

    sync: socket
    peer: int


class Child:
    """pyrunc-init while it makes itself ready.

    Args:
        pid: of the spawned process, later of its fork.
        pidfd: of that process.
        channel: to talk over; its socket becomes the Child's.
        hook_output: read end of the pipe that hooks in the container write to, if any do.
        plan: what it runs.
        signals: those that end a wait for it, if they are caught.

    Attributes:
        directories: descriptors that it has sent.
        sub_cgroup: a cgroup of its own, if it was given one.
    """

    __slots__ = (
        "_expected", "directories", "hook_output", "output", "peer", "pid", "pidfd", "plan",
        "signals", "sub_cgroup", "sync",
    )  # fmt: skip

    def __init__(
        self,
        pid: int,
        pidfd: PidFd,
        channel: Channel,
        hook_output: Descriptor,
        plan: Plan,
        signals: Signals | None = None,
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sync, self.peer = channel
        self.hook_output = hook_output
        self.plan = plan
        self.output = b""
        self.directories: list[Descriptor] = []
        self.sub_cgroup: SubCgroup | None = None
        self.signals = signals
        self._expected = messages(plan)

    def close(self) -> None:
        self.sync.close()
        for owned in (self.hook_output, self.pidfd, *self.directories):
            owned.close()

    def take_pidfd(self) -> PidFd:
        """Its pidfd, the caller's from now on; everything else is closed."""
        taken = PidFd(self.pidfd.take())
        self.close()
        return taken

    def take_sub_cgroup(self) -> SubCgroup | None:
        """Its own cgroup, the caller's to end from now on."""
        taken, self.sub_cgroup = self.sub_cgroup, None
        return taken

    def go(self) -> None:
        """Let it go on.

        Raises:
            PyruncError: it has died in the meantime; the one it reported, if it did.
        """
        try:
            self.sync.send(wire.GO)
        except OSError as error:
            failed = KernelError("answer pyrunc-init", "send", error.errno or 0)
            raise self._reported_failure() or failed from None

    def release(self) -> None:
        """Let it go on for the last time, and wait until it has read that: it then closes its end.

        Raises:
            PyruncError: it has died in the meantime; the one it reported, if it did.
        """
        self.go()
        try:
            # Its death proves nothing: its program may have ended already, and its end of the
            # socket be open for a moment longer, in a child that another thread is starting.
            self._await(lambda: "", monotonic() + _LAST_WORDS, alive=False)
        except NotReady:
            return  # it does go on, and has only not closed its end
        failure = self._reported_failure()
        if failure:
            raise failure

    def _reported_failure(self) -> PyruncError | None:
        """Why it has ended, if it has reported that."""
        # Twice: the socket's error, our last message being unread, comes before what it has sent.
        for _ in range(2):
            if not _is_readable(self.sync.fileno()):
                return None
            try:
                report, sent = self._receive(lambda: "")
            except PyruncError:
                continue
            sent.close()
            return self._exception(report) if report.kind == "failure" else None
        return None

    def kill(self) -> None:
        """Kill and reap it; the container's program has not run."""
        _end(self.pidfd)
        if self.peer and "forked" in self._expected:
            second = successor.find(self.peer, self.pid)
            if second is not None:
                with second:
                    _end(second)

    def finish(self, *, kill: bool) -> int:
        """Wait for it, or kill it, and reap it.

        Returns:
            The exit code, or 128 + signal.
        """
        if kill:
            self.pidfd.kill()
        # First: it may be waiting for an answer that never comes.
        self.sync.close()
        ended = self.pidfd.reap()
        self.close()
        assert ended is not None
        return ended[0]

    def killed_by(self) -> int:
        """The signal that killed it, or 0. It is not reaped."""
        # It may live on, though it sends nonsense or nothing at all.
        if not self.pidfd.has_ended(_LAST_WORDS):
            return 0
        ended = self.pidfd.reap(os.WNOWAIT)
        return ended[1] if ended else 0

    def run_until_ready(self, answers: Answers, deadline: float | None = None) -> None:
        """Serve its requests until it is ready to be started.

        Args:
            answers: to its requests.
            deadline: of time.monotonic(): a process in the container may hold it up for ever.

        Raises:
            NotReady: the deadline has passed.
            PyruncError: a step failed, or it died.
        """
        while True:
            self._await(answers.died, deadline)
            report, sent = self._receive(answers.died)
            with sent:
                if report.kind == "failure":
                    raise self._exception(report)
                if not self._expected or report.kind != self._expected[0]:
                    raise PyruncError(f"unexpected message from pyrunc-init: {report.kind}")
                del self._expected[0]
                if report.kind == "parked":
                    return
                self._serve(report, sent, answers)
            self.go()

    def _serve(self, report: Report, sent: Descriptor, answers: Answers) -> None:
        """Do what a message asks for; `sent` came with it, and is kept by taking it."""
        if report.kind == "forked":
            self._adopt(report.value, sent)
            if "forked" in answers.steps:
                answers.steps["forked"]()
        elif report.kind == "listener":
            self._hand_over(report.value, sent, answers.listener)
        elif report.kind == "directory":
            if not sent.is_open:
                raise PyruncError("pyrunc-init sent no directory")
            self.directories.append(Descriptor(sent.take()))
        else:
            sent.close()
            answers.steps[report.kind]()

    def _exception(self, report: Report) -> PyruncError:
        return exception_for(report, self.plan.steps, self._drain())

    def _hand_over(self, number: int, sent: Descriptor, listener: Callable[[int], None]) -> None:
        """The listener was sent, or is the process's descriptor of that number. That is not
        trusted: a wrong one is still the container's own, and of no use to the agent."""
        if sent.is_open:
            listener(sent.fileno())
            return
        with calls.get_descriptor(self.pidfd.fileno(), number) as copy:
            listener(copy.fileno())

    def _adopt(self, pid: int, sent: Descriptor) -> None:
        """Take over its successor; the kernel, not the message, shows that it is our child too."""
        if not sent.is_open or _pid_of(sent) != pid or not _is_child(sent):
            raise PyruncError("pyrunc-init sent no process")
        with self.pidfd as first, reported("reap pyrunc-init", "waitid"):
            self.pid, self.pidfd = pid, PidFd(sent.take())
            os.waitid(os.P_PIDFD, first.fileno(), os.WEXITED)

    def _receive(self, died: Callable[[], str]) -> tuple[Report, Descriptor]:
        """A message, and what was sent with it: closed where that is nothing."""
        try:
            data, descriptors = rights.receive(self.sync, MESSAGE.size + wire.MAX_TEXT)
        except ConnectionError:
            raise PyruncError(died()) from None
        except OSError as error:
            raise KernelError("read from pyrunc-init", "recvmsg", error.errno or 0) from None
        sent = descriptors[0] if descriptors else Descriptor()
        size = MESSAGE.size
        try:
            if len(data) < size:
                raise PyruncError(died())
            return Report(MESSAGE.unpack(data[:size]), len(self.plan.steps), data[size:]), sent
        except BaseException:
            sent.close()
            raise

    def _await(
        self, died: Callable[[], str], deadline: float | None, *, alive: bool = True
    ) -> None:
        """Wait for a message, or its death, and keep the hooks' pipe from filling up.

        Args:
            died: says why it may have died.
            deadline: of time.monotonic(), or None.
            alive: whether its death ends the wait; otherwise only a message does.

        Raises:
            NotReady: the deadline has passed.
            Interrupted: a signal asks this process to end.
            PyruncError: it died.
        """
        sync, hooks = self.sync.fileno(), self.hook_output.fileno()
        process = self.pidfd.fileno() if alive else -1
        reader = self.signals.fileno() if self.signals else -1
        poll = select.poll()
        for fd in (sync, process, hooks, reader):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        while True:
            ready = dict(poll.poll(_milliseconds(deadline)))
            if hooks in ready:
                chunk = os.read(hooks, _OUTPUT_KEPT)
                self.output = (self.output + chunk)[:_OUTPUT_KEPT]
                if not chunk:
                    poll.unregister(hooks)
            # Check again: it may have sent it and ended between poll(2)'s two checks.
            if sync in ready or (process in ready and _is_readable(sync)):
                return
            if process in ready:
                raise PyruncError(died())
            if self.signals and reader in ready:
                self.signals.check()
            if not ready:
                raise NotReady("the process was not ready in time")

    def _drain(self) -> bytes:
        if self.hook_output.is_open:
            os.set_blocking(self.hook_output.fileno(), False)
            try:
                self.output += os.read(self.hook_output.fileno(), _OUTPUT_KEPT)
            except BlockingIOError:
                pass
        return self.output


def _milliseconds(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic()) * 1000


def _is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _end(process: PidFd) -> None:
    process.kill()
    if process.has_ended(_DEATH_SECONDS):
        process.reap()


def _is_child(sent: Descriptor) -> bool:
    try:
        os.waitid(os.P_PIDFD, sent.fileno(), os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except OSError as error:
        raise KernelError("wait for pyrunc-init", "waitid", error.errno or 0) from None
    return True


def _pid_of(sent: Descriptor) -> int:
    """The pid of a pidfd (proc_pid_fdinfo(5))."""
    with opened(f"/proc/self/fdinfo/{sent.fileno()}") as file:
        for line in os.read(file.fileno(), 4096).splitlines():
            if line.startswith(b"Pid:"):
                return int(line[4:])
    return -1
