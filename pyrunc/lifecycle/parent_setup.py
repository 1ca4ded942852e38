# SPDX-License-Identifier: Apache-2.0
"""What the parent sets on a process that makes itself ready: id maps, clocks, limits."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pyrunc.errors import KernelError, reported
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import opened
from pyrunc.lifecycle import network, subids
from pyrunc.spec.model import Process, Spec
from pyrunc.spec.model_linux import IDMapping


def write_maps(spec: Spec, pid: int) -> None:
    assert spec.linux is not None
    uids, gids = map_text(spec.linux.uidMappings), map_text(spec.linux.gidMappings)
    write_map_texts(pid, uids, gids, "/linux/uidMappings", "/linux/gidMappings")


def map_text(maps: Sequence[IDMapping]) -> str:
    """Maps in the kernel's form (user_namespaces(7)): a line each."""
    return "".join(f"{m.containerID} {m.hostID} {m.size}\n" for m in maps)


def write_map_texts(pid: int, uids: str, gids: str, uid_pointer: str, gid_pointer: str) -> None:
    """Write the maps of a process's new user namespace, each at once.

    An unprivileged user may map their own id, and with the helpers of the shadow package those
    that /etc/subuid and /etc/subgid grant them.

    Raises:
        KernelError: the kernel refuses.
        PyruncError: a helper is missing, or refuses.
    """
    unprivileged = os.geteuid() != 0
    for name, text, own, helper, pointer in (
        ("gid_map", gids, os.getegid(), "newgidmap", gid_pointer),
        ("uid_map", uids, os.geteuid(), "newuidmap", uid_pointer),
    ):
        words = text.split()
        if needs_helper(words, own):
            subids.map_with_helper(helper, pid, words, pointer)
            continue
        if unprivileged and name == "gid_map":
            # Required of an unprivileged writer (user_namespaces(7)).
            _write_proc(pid, "setgroups", "deny", pointer)
        if words:
            _write_proc(pid, name, text, pointer)


def needs_helper(words: list[str], own: int) -> bool:
    """Whether the caller, whose id is `own`, may not write this map, three words a line."""
    return os.geteuid() != 0 and bool(words) and words[1:] != [str(own), "1"]


def write_clocks(spec: Spec, pid: int) -> None:
    """Write the offsets of a new time namespace's clocks (time_namespaces(7))."""
    assert spec.linux is not None
    for clock, offset in spec.linux.timeOffsets.items():
        text = f"{clock} {offset.secs} {offset.nanosecs}\n"
        _write_proc(pid, "timens_offsets", text, f"/linux/timeOffsets/{clock}")


def move_devices(spec: Spec, pid: int) -> None:
    assert spec.linux is not None
    network.move_devices(spec.linux.netDevices, pid)


def _write_proc(pid: int, name: str, text: str, pointer: str) -> None:
    path = f"/proc/{pid}/{name}"
    with (
        reported(f"write {text.strip()!r} to", "write", path, pointer=pointer),
        opened(path, os.O_WRONLY) as file,
    ):
        os.write(file.fileno(), text.encode())


def set_limits(process: Process, pid: int) -> None:
    """oom_score_adj, and the resource limits."""
    if process.oomScoreAdj is not None:
        _write_proc(pid, "oom_score_adj", str(process.oomScoreAdj), "/process/oomScoreAdj")
    for index, limit in enumerate(process.rlimits):
        try:
            calls.prlimit(pid, limit.type, limit.soft, limit.hard)
        except KernelError as error:
            error.pointer = f"/process/rlimits/{index}"
            raise
