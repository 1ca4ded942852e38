# SPDX-License-Identifier: Apache-2.0
"""Makes the id-mapped mounts of a plan, as the host's root, before the container starts."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack

from pyrunc.errors import KernelError, PyruncError, reported
from pyrunc.kernel import calls
from pyrunc.kernel import constants as k
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.lifecycle import parent_setup
from pyrunc.lifecycle.handshake import Answers
from pyrunc.lifecycle.launch import Descriptors, Launch
from pyrunc.plan import steps, wire
from pyrunc.plan.plan import IdMapped, Plan


def make(wanted: Sequence[IdMapped]) -> list[Descriptor]:
    """Make id-mapped mounts, not attached yet.

    Args:
        wanted: which ones.

    Returns:
        A descriptor for each.

    Raises:
        KernelError: with the pointer of the mount.
    """
    made: list[Descriptor] = []
    known: dict[object, int] = {}
    with ExitStack() as on_failure, ExitStack() as always:
        for one in wanted:
            maps = (one.namespace, parent_setup.map_text(one.uids), parent_setup.map_text(one.gids))
            if maps not in known:
                known[maps] = always.enter_context(_namespace(one, *maps[1:])).fileno()
            made.append(on_failure.enter_context(_mount(one, known[maps])))
        on_failure.pop_all()
    return made


def _mount(one: IdMapped, namespace: int) -> Descriptor:
    tree = Descriptor()
    try:
        tree = calls.open_tree(one.source, recursive=one.tree)
        calls.map_ids(tree.fileno(), namespace, recursive=one.deep, path=one.source)
    except KernelError as error:
        tree.close()
        error.pointer = one.pointer
        if error.syscall == "mount_setattr" and error.errno == errno.EINVAL:
            error.hint = "its filesystem does not support id-mapped mounts, or it is mapped already"
        raise
    return tree


def _namespace(one: IdMapped, uids: str, gids: str) -> Descriptor:
    if one.namespace:
        with reported("open namespace", "open", one.namespace, pointer=one.pointer):
            return opened(one.namespace, os.O_RDONLY | os.O_NONBLOCK)
    return user_namespace(uids, gids, one.pointer)


def user_namespace(uids: str, gids: str, pointer: str) -> Descriptor:
    """A user namespace with these maps and no process in it.

    Args:
        uids, gids: text for uid_map and gid_map.
        pointer: of what asked for it.
    """
    waiting = (
        steps.ParentDeath(signal=k.SIGKILL),
        steps.Sync(message=wire.Message.MAPS),
        steps.Sync(message=wire.Message.PARKED),
    )
    plan = Plan(waiting, k.CLONE_NEWUSER, (), wire.FIRST_FREE, wire.FIRST_FREE)
    child = Launch(plan, Descriptors(), stdio=(0, 1, 2), free=[]).start()
    try:
        answers = {
            "maps": lambda: parent_setup.write_map_texts(child.pid, uids, gids, pointer, pointer)
        }
        child.run_until_ready(Answers(answers, lambda: "the process of a user namespace died"))
        with reported("open namespace", "open"):
            return opened(f"/proc/{child.pid}/ns/user")
    except PyruncError as error:
        error.pointer = error.pointer or pointer
        raise
    finally:
        child.kill()
        child.close()
