# SPDX-License-Identifier: Apache-2.0
"""Makes the id-mapped mounts of a plan, as the host's root, before the container starts."""

from __future__ import annotations

import errno
import os
from socket import AF_UNIX, SOCK_SEQPACKET, socketpair

from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel import constants as k
from pyrunc.kernel import mounts, pidfd
from pyrunc.kernel import process as kernel
from pyrunc.lifecycle import parent_setup
from pyrunc.lifecycle.launch import executable
from pyrunc.plan import steps, wire
from pyrunc.plan.encode import encode
from pyrunc.plan.plan import IdMapped


def make(wanted: list[IdMapped]) -> list[int]:
    """Make id-mapped mounts, not attached yet.

    Args:
        wanted: which ones.

    Returns:
        A descriptor for each, which the caller closes.

    Raises:
        KernelError: with the pointer of the mount.
    """
    made: list[int] = []
    known: dict[object, int] = {}
    try:
        for one in wanted:
            maps = (one.namespace, parent_setup.map_text(one.uids), parent_setup.map_text(one.gids))
            if maps not in known:
                known[maps] = _namespace(one, *maps[1:])
            made.append(_mount(one, known[maps]))
    except BaseException:
        for fd in made:
            os.close(fd)
        raise
    finally:
        for fd in known.values():
            os.close(fd)
    return made


def _mount(one: IdMapped, namespace: int) -> int:
    try:
        fd = mounts.open_tree(one.source, recursive=one.tree)
        try:
            mounts.map_ids(fd, namespace, recursive=one.deep, path=one.source)
        except BaseException:
            os.close(fd)
            raise
    except KernelError as error:
        error.pointer = one.pointer
        if error.syscall == "mount_setattr" and error.errno == errno.EINVAL:
            error.hint = "its filesystem does not support id-mapped mounts, or it is mapped already"
        raise
    return fd


def _namespace(one: IdMapped, uids: str, gids: str) -> int:
    if one.namespace:
        try:
            return os.open(one.namespace, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise KernelError(
                "open namespace", "open", error.errno or 0, one.namespace, pointer=one.pointer
            ) from None
    return user_namespace(uids, gids, one.pointer)


def user_namespace(uids: str, gids: str, pointer: str) -> int:
    """A user namespace with these maps and no process in it.

    Args:
        uids, gids: text for uid_map and gid_map.
        pointer: of what asked for it.

    Returns:
        A descriptor, close-on-exec.
    """
    waiting = (steps.ParentDeath(signal=k.SIGKILL), steps.Sync(message=wire.Message.MAPS))
    data = encode(waiting, registers=wire.FIRST_FREE, first_fd=3, passed_fds=wire.FIRST_FREE)
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    fds: list[int] = [theirs.detach()]
    try:
        fds.append(executable())
        fds.append(kernel.sealed_memfd("plan", data))
        passed = [-1] * wire.FIRST_FREE
        passed[wire.SYNC], passed[wire.PLAN] = fds[0], fds[2]
        pid, child = kernel.spawn(
            exe=fds[1], flags=k.CLONE_NEWUSER, cgroup=-1, stdio=(0, 1, 2), first_fd=3, fds=passed
        )
    except BaseException:
        ours.close()
        raise
    finally:
        for fd in fds:
            os.close(fd)
    try:
        if not ours.recv(64):
            raise PyruncError("the process of a user namespace died", pointer=pointer)
        parent_setup.write_map_texts(pid, uids, gids, pointer, pointer)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        ours.close()
        _end(child)


def _end(fd: int) -> None:
    pidfd.kill(fd)
    pidfd.reap(fd)
    os.close(fd)
