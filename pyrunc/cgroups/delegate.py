# SPDX-License-Identifier: Apache-2.0
"""Giving a v2 cgroup to the user of the container that may make cgroups below it.

A container with a cgroup namespace of its own and a writable cgroup mount, such as one that
runs systemd, is meant to manage what is below it. Its root is another user out here if it has
a user namespace; the files that the kernel lists are what that user has to own (cgroup-v2.rst,
"Model of Delegation").
"""

from __future__ import annotations

import os

from pyrunc.cgroups import tree
from pyrunc.spec.model import Spec

MOUNT = "/sys/fs/cgroup"
LIST = "/sys/kernel/cgroup/delegate"
# Where the kernel has no list (before Linux 4.15).
FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def owner(spec: Spec) -> int | None:
    """The host's id of the user that is to own the cgroup.

    Args:
        spec: a checked document.

    Returns:
        None where the container's cgroup is none of its business: without a cgroup namespace
        of its own, with a read-only mount or none, or with a user that is not mapped here.
    """
    linux = spec.linux
    if linux is None or spec.process is None:
        return None
    new = {ns.type for ns in linux.namespaces if not ns.path}
    joined = {ns.type for ns in linux.namespaces if ns.path}
    if "cgroup" not in new or "user" in joined or not _writable(spec):
        return None
    user = spec.process.user.uid
    if "user" not in new:
        return user
    for row in linux.uidMappings:
        if 0 <= user - row.containerID < row.size:
            return row.hostID + user - row.containerID
    return None


def _writable(spec: Spec) -> bool:
    # The last mount at a place is the one that shows.
    found = [m for m in spec.mounts if m.destination.rstrip("/") == MOUNT]
    return bool(found) and found[-1].type in ("cgroup", "cgroup2") and "ro" not in found[-1].options


def give(directory: int, path: str, uid: int) -> None:
    """Make a user the owner of a cgroup and of the files that managing it takes.

    Args:
        directory: descriptor of the cgroup.
        path: its path, for messages.
        uid: the new owner, as seen here.

    Raises:
        CgroupError: the kernel refuses.
    """
    name = ""
    try:
        os.fchown(directory, uid, -1)
        for name in _files():
            try:
                os.chown(name, uid, -1, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                # Of a controller that is not enabled here.
                continue
    except OSError as error:
        place = f"{path}/{name}".rstrip("/")
        raise tree.failure("give to the container's user", "chown", error, place) from error


def _files() -> list[str]:
    try:
        with open(LIST, encoding="ascii") as file:
            found = file.read().split()
    except FileNotFoundError:
        found = []
    return found or list(FILES)
