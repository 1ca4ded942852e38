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

At any point `failure` may come instead. What comes is not trusted: fixed-size messages, numbers
checked, no paths, and no message but the one that the plan has next. Nor is it trusted to come:
each wait also ends with the process's death, which the socket does not tell where a second stage
holds the other end, and with a signal that asks us to end.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from time import monotonic

from pyrunc.cgroups.sub_cgroup import SubCgroup
from pyrunc.errors import KernelError, NotReady, PyruncError
from pyrunc.kernel import pidfd, rights
from pyrunc.lifecycle import successor
from pyrunc.lifecycle.messages import exception_for
from pyrunc.lifecycle.report import MESSAGE, Report, messages
from pyrunc.lifecycle.signals import Signals
from pyrunc.plan import wire
from pyrunc.plan.context import Plan

_OUTPUT_KEPT = 64 << 10
# What has been killed and does not end has been stopped by others (a frozen v1 hierarchy, a
# dead NFS server): it ends when they let it.
_DEATH_SECONDS = 10.0
# From the end of its socket to that of the process.
_LAST_WORDS_MS = 1000


def _refuse_listener(fd: int) -> None:
    os.close(fd)
    raise PyruncError("unexpected message from pyrunc-init: a seccomp listener")


@dataclass
class Answers:
    """What is done for pyrunc-init when it asks.

    Args:
        steps: what to do for each kind of message before it may go on; for "forked" besides what
            `Child` does about it.
        died: says why it may have died without a word.
        listener: gets the descriptor of a seccomp listener, and closes it.
    """

    steps: dict[str, Callable[[], None]]
    died: Callable[[], str]
    listener: Callable[[int], None] = _refuse_listener


class Child:
    """pyrunc-init while it makes itself ready.

    Args:
        pid: as spawned; changes when it forks.
        pidfd: of that process; owned by this object.
        sync: our end of the socket pair; owned.
        hook_output: read end of the pipe that hooks inside write to, or -1; owned.
        plan: what it runs.
        peer: inode of its end of the socket pair.
        signals: those that end a wait for it, if anybody catches them.

    Attributes:
        directories: those that it has sent; owned by this object.
        sub_cgroup: a cgroup that is its alone, if it was given one.
    """

    __slots__ = (
        "_expected", "directories", "hook_output", "output", "peer", "pid", "pidfd", "plan",
        "signals", "sub_cgroup", "sync",
    )  # fmt: skip

    def __init__(
        self,
        pid: int,
        pidfd: int,
        sync: socket,
        hook_output: int,
        plan: Plan,
        peer: int = 0,
        signals: Signals | None = None,
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sync = sync
        self.hook_output = hook_output
        self.plan = plan
        self.output = b""
        self.directories: list[int] = []
        self.sub_cgroup: SubCgroup | None = None
        self.signals = signals
        self.peer = peer
        self._expected = messages(plan)

    def close(self) -> None:
        self.sync.close()
        for fd in (self.hook_output, self.pidfd, *self.directories):
            if fd >= 0:
                os.close(fd)
        self.directories = []
        self.hook_output = self.pidfd = -1

    def take_pidfd(self) -> int:
        """Its pidfd, the caller's from now on; all else of this object is closed."""
        taken, self.pidfd = self.pidfd, -1
        self.close()
        return taken

    def go(self) -> None:
        """Let it go on.

        Raises:
            PyruncError: it has died meanwhile; with its last word, if it had one.
        """
        try:
            self.sync.send(wire.GO)
        except OSError as error:
            failed = KernelError("answer pyrunc-init", "send", error.errno or 0)
            raise self._last_word() or failed from None

    def release(self) -> None:
        """Let it go on for the last time, and see that it has heard: it closes its end then.

        Raises:
            PyruncError: it has died meanwhile; with its last word, if it had one.
        """
        self.go()
        try:
            # Its death proves nothing: what it was let go for may be over, and its end still be
            # open for a moment, in a child that another thread is starting.
            self._await(lambda: "", monotonic() + _LAST_WORDS_MS / 1000, alive=False)
        except NotReady:
            return  # it goes on, and has only not closed its end
        word = self._last_word()
        if word:
            raise word

    def _last_word(self) -> PyruncError | None:
        """Why it has ended, if it has said so."""
        # Twice: that it has not read our last one is an error, and told before what it has sent.
        for _ in range(2):
            if not _is_readable(self.sync.fileno()):
                return None
            try:
                report, fd = self._receive(lambda: "")
            except PyruncError:
                continue
            _close(fd)
            return self._exception(report) if report.kind == "failure" else None
        return None

    def kill(self) -> None:
        """End it and take its exit status; it has run nothing of the container's program."""
        _end(self.pidfd)
        if self.peer and "forked" in self._expected:
            pidfd = successor.find(self.peer, self.pid)
            if pidfd >= 0:
                _end(pidfd)
                os.close(pidfd)

    def finish(self, *, kill: bool) -> int:
        """Take its exit status once it has ended, or has been killed.

        Returns:
            The exit code, or 128 + signal.
        """
        if kill:
            pidfd.kill(self.pidfd)
        # First: it may be waiting for a word that never comes.
        self.sync.close()
        ended = pidfd.reap(self.pidfd)
        self.close()
        assert ended is not None
        return ended[0]

    def killed_by(self) -> int:
        """The signal that ended it, or 0. It stays to be reaped."""
        # It may live on, though it talks nonsense or not at all.
        if not _is_readable(self.pidfd, _LAST_WORDS_MS):
            return 0
        ended = pidfd.reap(self.pidfd, os.WNOWAIT)
        return ended[1] if ended else 0

    def run_until_ready(self, answers: Answers, deadline: float | None = None) -> None:
        """Serve its requests until it is ready to be started.

        Args:
            answers: to its requests.
            deadline: of time.monotonic(); who is in the container may hold it up for ever.

        Raises:
            NotReady: the deadline has passed.
            PyruncError: a step failed, or it died.
        """
        while True:
            self._await(answers.died, deadline)
            report, fd = self._receive(answers.died)
            if report.kind == "failure":
                _close(fd)
                raise self._exception(report)
            if not self._expected or report.kind != self._expected[0]:
                _close(fd)
                raise PyruncError(f"unexpected message from pyrunc-init: {report.kind}")
            del self._expected[0]
            if report.kind == "parked":
                _close(fd)
                return
            self._serve(report, fd, answers)
            self.go()

    def _serve(self, report: Report, fd: int, answers: Answers) -> None:
        if report.kind == "forked":
            self._adopt(report.value, fd)
            if "forked" in answers.steps:
                answers.steps["forked"]()
        elif report.kind == "listener":
            self._hand_over(fd if fd >= 0 else self._take(report.value), answers.listener)
        elif report.kind == "directory":
            if fd < 0:
                raise PyruncError("pyrunc-init sent no directory")
            self.directories.append(fd)
        else:
            _close(fd)
            answers.steps[report.kind]()

    def _exception(self, report: Report) -> PyruncError:
        return exception_for(report, self.plan.steps, self._drain())

    def _take(self, number: int) -> int:
        """A descriptor out of the process. Its number is the process's word, and is checked by
        what the agent does with it: whatever it is, it is the container's own."""
        return pidfd.get_descriptor(self.pidfd, number)

    def _hand_over(self, fd: int, listener: Callable[[int], None]) -> None:
        try:
            listener(fd)
        finally:
            os.close(fd)

    def _adopt(self, pid: int, pidfd: int) -> None:
        """Its successor is our child too: the kernel says so, not the message."""
        if pidfd < 0 or _pid_of(pidfd) != pid or not _is_child(pidfd):
            _close(pidfd)
            raise PyruncError("pyrunc-init sent no process")
        first, self.pid, self.pidfd = self.pidfd, pid, pidfd
        try:
            os.waitid(os.P_PIDFD, first, os.WEXITED)
        except OSError as error:
            raise KernelError("take the end of pyrunc-init", "waitid", error.errno or 0) from None
        finally:
            os.close(first)

    def _receive(self, died: Callable[[], str]) -> tuple[Report, int]:
        try:
            data, sent = rights.receive(self.sync, MESSAGE.size + wire.MAX_TEXT)
        except ConnectionError:
            raise PyruncError(died()) from None
        except OSError as error:
            raise KernelError("hear from pyrunc-init", "recvmsg", error.errno or 0) from None
        fd = sent[0] if sent else -1
        size = MESSAGE.size
        if len(data) < size:
            _close(fd)
            raise PyruncError(died())
        try:
            return Report(MESSAGE.unpack(data[:size]), len(self.plan.steps), data[size:]), fd
        except BaseException:
            _close(fd)
            raise

    def _await(
        self, died: Callable[[], str], deadline: float | None, *, alive: bool = True
    ) -> None:
        """Until there is a message, or nobody is left to send one; keeps the hooks' pipe from
        filling up meanwhile. Unless it has to be alive, only the message counts.

        Raises:
            NotReady: the deadline has passed.
            Interrupted: a signal asks us to end.
            PyruncError: it died.
        """
        sync = self.sync.fileno()
        poll = select.poll()
        reader = self.signals.reader if self.signals else -1
        for fd in (sync, self.pidfd if alive else -1, self.hook_output, reader):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        while True:
            ready = dict(poll.poll(_milliseconds(deadline)))
            if self.hook_output in ready:
                chunk = os.read(self.hook_output, _OUTPUT_KEPT)
                self.output = (self.output + chunk)[:_OUTPUT_KEPT]
                if not chunk:
                    poll.unregister(self.hook_output)
            # Looked at once more: it may have sent it and ended between the two looks of poll(2).
            if sync in ready or (self.pidfd in ready and _is_readable(sync)):
                return
            if self.pidfd in ready:
                raise PyruncError(died())
            if self.signals and self.signals.reader in ready:
                self.signals.check()
            if not ready:
                raise NotReady("the process did not get ready in time; something holds it up")

    def _drain(self) -> bytes:
        if self.hook_output >= 0:
            os.set_blocking(self.hook_output, False)
            try:
                self.output += os.read(self.hook_output, _OUTPUT_KEPT)
            except BlockingIOError:
                pass
        return self.output


def _milliseconds(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic()) * 1000


def _is_readable(fd: int, milliseconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _end(fd: int) -> None:
    pidfd.kill(fd)
    if _is_readable(fd, _DEATH_SECONDS * 1000):
        pidfd.reap(fd)


def _is_child(pidfd: int) -> bool:
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except OSError as error:
        raise KernelError("ask for pyrunc-init", "waitid", error.errno or 0) from None
    return True


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
