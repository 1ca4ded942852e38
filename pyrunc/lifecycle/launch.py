# SPDX-License-Identifier: Apache-2.0
"""Starts pyrunc-init with a plan: the descriptors in their places, one clone3."""

from __future__ import annotations

import os

from pyrunc.errors import SpecError
from pyrunc.kernel import process as kernel
from pyrunc.lifecycle.handshake import Child
from pyrunc.plan import wire
from pyrunc.plan.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.context import Plan


class Descriptors:
    """Descriptors that are closed together, however what they are for ends."""

    __slots__ = ("_fds",)

    def __init__(self) -> None:
        self._fds: list[int] = []

    def keep(self, fd: int) -> int:
        """Close this one with the others.

        Returns:
            The same descriptor.
        """
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Close them all."""
        while self._fds:
            os.close(self._fds.pop())


def launch(
    plan: Plan,
    descriptors: Descriptors,
    *,
    stdio: tuple[int, int, int],
    first_fd: int,
    cgroup: int,
    named: dict[int, int],
    free: list[int],
    hook_output: int = -1,
) -> Child:
    """Start pyrunc-init.

    Args:
        plan: what it is to do.
        descriptors: all that is passed; closed afterwards, so that the process has the only
            copies, and the end of either side is seen.
        stdio: what becomes 0, 1 and 2.
        first_fd: where the plan's registers begin; what lies between 2 and it is the program's.
        cgroup: descriptor of a cgroup v2 directory to start in, or -1.
        named: fixed register (`plan.wire`) -> descriptor, beside those made here.
        free: descriptors for the registers from `wire.FIRST_FREE` on.
        hook_output: our end of the pipe of hooks, or -1; the Child owns it.

    Returns:
        The process, whose first message is to be read.

    Raises:
        SpecError: the plan is larger than any can be.
        KernelError: with the system call that failed.
    """
    from _socket import AF_UNIX, SOCK_SEQPACKET, socketpair

    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    keep = descriptors.keep
    try:
        passed = [-1] * plan.passed
        passed[wire.SYNC] = keep(theirs.detach())
        exe = keep(kernel.sealed_memfd("pyrunc-init", program(), executable=True))
        passed[wire.PLAN] = keep(kernel.sealed_memfd("plan", _encoded(plan, first_fd)))
        for register, fd in named.items():
            passed[register] = fd
        passed[wire.FIRST_FREE : wire.FIRST_FREE + len(free)] = free
        pid, pidfd = kernel.spawn(
            exe=exe,
            flags=plan.spawn_flags,
            cgroup=cgroup,
            stdio=stdio,
            first_fd=first_fd,
            fds=passed,
        )
    except BaseException:
        ours.close()
        if hook_output >= 0:
            os.close(hook_output)
        raise
    finally:
        descriptors.close()
    return Child(pid, pidfd, ours, hook_output, plan)


def _encoded(plan: Plan, first_fd: int) -> bytes:
    try:
        return encode(
            plan.steps, registers=plan.registers, first_fd=first_fd, passed_fds=plan.passed
        )
    except ValueError as error:
        raise SpecError(f"asks for more than one container can be: {error}") from None


def program() -> bytes:
    """pyrunc-init, read anew each time: an update of the package may replace it."""
    path = os.path.dirname(os.path.dirname(__file__)) + "/pyrunc-init"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def name_of(fd: int) -> str:
    """What a descriptor is, for a checkpoint."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
