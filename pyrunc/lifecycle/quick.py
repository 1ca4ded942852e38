# SPDX-License-Identifier: Apache-2.0
"""What the launcher may answer without Python (csrc/launcher/quick.c), written down for it.

Here it is decided, there it is only looked up: the texts, what is done by `start` and `delete`
beyond the usual, where the cgroup is. A container that needs more has no such line, and then
Python does it. The file belongs to one state.json, by its inode and time: it is worth nothing
beside another.
"""

from __future__ import annotations

import os

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
    entry.replace_bytes(QUICK, data)


def _answer(state: dict[str, Any]) -> tuple[str, str, str]:
    """The text of `state`, around the pid and the status."""
    text = dumps_indented(document(state, "@"), "  ")
    # A quote inside a value has a backslash before it, so these are the members themselves.
    before, _, rest = text.partition(f'"pid": {state["pid"]}')
    between, _, after = rest.partition('"status": "@"')
    return f'{before}"pid": ', f'{between}"status": "', f'"{after}'


def _cgroup(state: dict[str, Any], cgroup: Driver) -> dict[str, str]:
    rows = {}
    freezer = cgroup.freezer_file()
    if freezer:
        rows["thawed"] = "\n".join(freezer)
    if cgroup.inner:
        rows["members"] = cgroup.directories[cgroup.counting()]
    plain = not (state["hooks"].get("poststop") or state["notify"] or "resctrl" in state)
    if plain and not cgroup.needs_process:
        rows["remove"] = "".join(f"{path}\n" for path in reversed(cgroup.directories))
    return rows
