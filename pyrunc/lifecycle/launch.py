# SPDX-License-Identifier: Apache-2.0
"""Starts pyrunc-init with a plan: the descriptors in their places, one clone3."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from socket import AF_UNIX, SOCK_SEQPACKET, socketpair
from time import monotonic

from pyrunc.cgroups.join import Joining
from pyrunc.errors import KernelError, NotReady, PyruncError, SpecError, reported
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle import sealed
from pyrunc.lifecycle.handshake import Channel, Child
from pyrunc.lifecycle.signals import Signals
from pyrunc.plan import wire
from pyrunc.plan.encode import encode
from pyrunc.plan.plan import Plan

_PATH = os.path.dirname(os.path.dirname(__file__)) + "/pyrunc-init"
_INCOMPLETE = "the installation is incomplete"
# pyrunc-init itself, where the static executable contains it (docs/static.md).
EMBEDDED = b""


class Descriptors:
    """Descriptors that are closed together, on success and on failure."""

    __slots__ = ("_owned",)

    def __init__(self) -> None:
        self._owned: list[Descriptor] = []

    def keep(self, owned: Descriptor) -> int:
        """Close this one with the others.

        Returns:
            Its number, lent until then.
        """
        self._owned.append(owned)
        return owned.fileno()

    def join(self, joining: Joining | None) -> tuple[int, list[int]]:
        """Those by which a process joins its cgroup, if there is one to join.

        Returns:
            The one to start in, or -1; and those that it joins itself. They are lent.
        """
        if joining is None:
            return -1, []
        return self.keep(joining.spawn_fd()), [self.keep(owned) for owned in joining.fds()]

    def close(self) -> None:
        """Close them all."""
        while self._owned:
            self._owned.pop().close()


@dataclass
class Launch:
    """A start of pyrunc-init: what `create`, `exec` and `restore` have in common.

    Args:
        plan: what it is to do.
        fds: own all that is passed, which the others name by number; closed afterwards, so that
            the process has the only copies and each side sees the end of the other.
        stdio: what becomes 0, 1 and 2.
        preserve_fds: how many descriptors from 3 on are the program's; the plan's registers
            come after them.
        cgroup: descriptor of a cgroup v2 directory to start in, or -1.
        named: fixed register (`plan.wire`) -> descriptor, in addition to those made here.
        free: descriptors for the registers from `wire.FIRST_FREE` on.
        hook_output: our end of the pipe of hooks, if there is one; becomes the Child's.
        signals: those that end the wait for it.
        deadline: of time.monotonic(): in a frozen cgroup the start makes no progress.
    """

    plan: Plan
    fds: Descriptors
    stdio: tuple[int, int, int]
    free: list[int]
    preserve_fds: int = 0
    cgroup: int = -1
    named: dict[int, int] = field(default_factory=dict)
    hook_output: Descriptor = field(default_factory=Descriptor)
    signals: Signals | None = None
    deadline: float | None = None

    def start(self) -> Child:
        """Start it.

        Returns:
            The process; its first message is still unread.

        Raises:
            SpecError: the plan is too large.
            KernelError: with the system call that failed.
            NotReady: the deadline has passed.
            Interrupted: a signal asks this process to end.
        """
        keep, first_fd = self.fds.keep, 3 + self.preserve_fds
        ours: Channel | None = None
        try:
            ours, theirs = _socket_pair()
            passed = [-1] * self.plan.passed
            passed[wire.SYNC] = keep(theirs)
            exe = keep(executable())
            passed[wire.PLAN] = keep(calls.sealed_memfd("plan", _encoded(self.plan, first_fd)))
            for register, fd in self.named.items():
                passed[register] = fd
            passed[wire.FIRST_FREE : wire.FIRST_FREE + len(self.free)] = self.free
            what = calls.Spawn(
                exe=exe, flags=self.plan.spawn_flags, cgroup=self.cgroup, stdio=self.stdio,
                first_fd=first_fd, fds=passed,
            )  # fmt: skip
            pid, pidfd = _spawn(what, self.signals, self.deadline)
        except BaseException:
            if ours:
                ours.sync.close()
            self.hook_output.close()
            raise
        finally:
            self.fds.close()
        return Child(pid, pidfd, ours, self.hook_output, self.plan, self.signals)


def _socket_pair() -> tuple[Channel, Descriptor]:
    """Our end, and the other."""
    with reported("talk to pyrunc-init", "socketpair"):
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    peer = os.fstat(theirs.fileno()).st_ino
    return Channel(ours, peer), Descriptor(theirs.detach())


def _spawn(what: calls.Spawn, signals: Signals | None, deadline: float | None) -> tuple[int, PidFd]:
    """One clone3; a signal that does not ask this process to end is kept for later."""
    while True:
        timeout = None if deadline is None else deadline - monotonic()
        interrupt = signals.fileno() if signals else -1
        try:
            return calls.spawn(what, interrupt, timeout)
        except KernelError as error:
            if error.errno == errno.ETIMEDOUT:
                raise NotReady(
                    "timed out starting the process", hint="is its cgroup frozen?"
                ) from None
            if error.errno != errno.EINTR or signals is None:
                raise
        signals.check()


def _encoded(plan: Plan, first_fd: int) -> bytes:
    try:
        return encode(
            plan.steps, registers=plan.registers, first_fd=first_fd, passed_fds=plan.passed
        )
    except ValueError as error:
        raise SpecError(f"asks for more than a plan can hold: {error}") from None


def executable() -> Descriptor:
    """pyrunc-init, opened so that a process that executes it cannot change it for the next one.

    Raises:
        KernelError: this host allows no such execution.
    """
    try:
        return calls.sealed_memfd("pyrunc-init", program(), executable=True)
    except KernelError as error:
        # vm.memfd_noexec=2 of this pid namespace; RLIMIT_FSIZE below its size.
        if error.errno not in (errno.EACCES, errno.EFBIG):
            raise
    return sealed.executable("" if EMBEDDED else _PATH, program)


def program() -> bytes:
    """pyrunc-init, read again each time: an update of the package may replace it.

    Raises:
        KernelError: it cannot be read.
    """
    if EMBEDDED:
        return EMBEDDED
    with reported("open", "open", _PATH, hint=_INCOMPLETE):
        file = opened(_PATH)
    with file, reported("read", "read", _PATH, hint=_INCOMPLETE):
        size, data = os.fstat(file.fileno()).st_size, b""
        while chunk := os.read(file.fileno(), size + 1 - len(data)):
            data += chunk
    if len(data) != size or not size:
        raise PyruncError(f"{_PATH} changed while it was read", hint="is it being updated?")
    return data


def name_of(fd: int) -> str:
    """What a descriptor is, for a checkpoint."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
