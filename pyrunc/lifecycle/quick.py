# SPDX-License-Identifier: Apache-2.0
"""What the launcher may answer without Python (csrc/launcher/quick.c), written down for it.

Here it is decided, there it is only looked up: the texts, what is done by `start` and `delete`
beyond the usual, where the cgroup is. A container that needs more has no such line, and then
Python does it. The file belongs to one state.json, by its inode and time: it is worth nothing
beside another.
"""

from __future__ import annotations

import os

from pyrunc.errors import KernelError
from pyrunc.jsontext import dumps_indented
from pyrunc.lifecycle.status import document
from pyrunc.lifecycle.store import QUICK, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroups.driver import Driver
    from pyrunc.lifecycle.store import Entry

FORMAT = "pyrunc-quick-1"


def write(entry: Entry, state: dict[str, Any], cgroup: Driver) -> None:
    """Write the file for a state that has just been saved.

    Args:
        entry: of the container.
        state: what was saved.
        cgroup: of the container.
    """
    saved = os.stat(STATE, dir_fd=entry.fd, follow_symlinks=False)
    seconds, nanoseconds = divmod(saved.st_mtime_ns, 1_000_000_000)
    rows = {
        "format": FORMAT,
        "inode": str(saved.st_ino),
        "seconds": str(seconds),
        "nanoseconds": str(nanoseconds),
        "boot": state["boot"],
        "pid": str(state["pid"]),
        "start-time": str(state["startTime"]),
        # The kernel ends all of a pid namespace with its first process.
        "init-is-all": str(int(state["privatePid"])),
        "start-is-plain": str(int(not (state["hooks"].get("poststart") or state["notify"]))),
        **_cgroup(state, cgroup),
        **dict(zip(("state-0", "state-1", "state-2"), _answer(state), strict=True)),
    }
    data = b"".join(
        b"%s %d\n%s\n" % (name.encode(), len(text), text)
        for name, text in ((n, t.encode("utf-8", "surrogateescape")) for n, t in rows.items())
    )
    try:
        entry.replace_bytes(QUICK, data)
    except KernelError:
        entry.unlink(f".{QUICK}.new")  # no room: without it Python answers, as well and later


def _answer(state: dict[str, Any]) -> tuple[str, str, str]:
    """The text of `state`, around the pid and the status."""
    text = dumps_indented(document(state, "@"), "  ")
    # A quote inside a value has a backslash before it, so these are the members themselves.
    before, _, rest = text.partition(f'"pid": {state["pid"]}')
    between, _, after = rest.partition('"status": "@"')
    return f'{before}"pid": ', f'{between}"status": "', f'"{after}'


def _cgroup(state: dict[str, Any], cgroup: Driver) -> dict[str, str]:
    rows = {name: "\n".join(file_and_line) for name, file_and_line in cgroup.freezer().items()}
    if cgroup.inner:
        rows["layout"] = _layout(cgroup)
        rows["directories"] = "".join(f"{path}\n" for path in cgroup.directories)
        rows["members"] = cgroup.directories[cgroup.counting()]
    plain = not (state["hooks"].get("poststop") or state["notify"] or "resctrl" in state)
    if plain and not cgroup.needs_process:
        rows["remove"] = "".join(f"{path}\n" for path in reversed(cgroup.directories))
    return rows


def _layout(cgroup: Driver) -> str:
    """The host's hierarchies in one word: what is numbered by them fits no other host."""
    return "|".join(f"{h.mount}:{','.join(h.names)}" for h in cgroup.layout.hierarchies)


def write_stats(root: str, cgroup: Driver) -> None:
    """Write how `events --stats` is put together on this host, for all containers of a root.

    Failing to do so costs time, and nothing else.
    """
    from pyrunc.cgroups import hugetlb
    from pyrunc.observe.quick_stats import program

    hierarchies = cgroup.layout.hierarchies
    index = {name: i for i, h in enumerate(hierarchies) for name in h.names}
    unified = cgroup.layout.kind == "v2"
    sizes = [*hugetlb.sizes()]
    if not cgroup.inner:
        return

    def where(controller: str, name: str) -> str:
        return f"{index[controller]}/{name}" if controller in index else "-"

    huge = index.get("" if unified else "hugetlb", -1)
    suffix = "current" if unified else "usage_in_bytes"
    counted = [
        size for size in sizes
        if huge >= 0 and os.path.exists(f"{cgroup.directories[huge]}/hugetlb.{size}.{suffix}")
    ]  # fmt: skip
    reserved = bool(counted) and os.path.exists(
        f"{cgroup.directories[huge]}/hugetlb.{counted[0]}.rsvd.{suffix}"
    )
    at = index.get("" if unified else "pids", -1)
    pids = at >= 0 and os.path.exists(f"{cgroup.directories[at]}/pids.current")
    listing = program(_layout(cgroup), unified, where, counted, reserved, pids)
    part = f"{root}/:stats.{os.getpid()}"
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, listing.encode())
        finally:
            os.close(fd)
        os.rename(part, f"{root}/:stats")
    except OSError:
        return
