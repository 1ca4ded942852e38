# SPDX-License-Identifier: Apache-2.0
"""newuidmap(1) and newgidmap(1): id maps that an unprivileged user may not write."""

from __future__ import annotations

import os

from pyrunc.errors import PyruncError, reported
from pyrunc.kernel.calls import pipe, spawn_program
from pyrunc.kernel.descriptor import opened

# By absolute path, never by the caller's PATH. The last is NixOS's.
_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin")
_OUTPUT_KEPT = 4096


def path_of(helper: str, pointer: str) -> str:
    """Where newuidmap or newgidmap is.

    Raises:
        PyruncError: it is not installed; with the pointer of the map.
    """
    for place in (f"{directory}/{helper}" for directory in _DIRECTORIES):
        if os.access(place, os.X_OK):
            return place
    raise PyruncError(
        f"mapping more than your own id needs {helper}",
        pointer=pointer,
        hint="install the package uidmap, or map one id only",
    )


def map_with_helper(helper: str, pid: int, words: list[str], pointer: str) -> None:
    """Map ids of a process's user namespace.

    Args:
        helper: "newuidmap" or "newgidmap".
        pid: the process.
        words: the map, three words a line.
        pointer: of the map in config.json.

    Raises:
        PyruncError: the helper is not installed, or refuses.
    """
    path = path_of(helper, pointer)
    reader, writer = pipe(f"run {helper}")
    with reported("open", "open", os.devnull):
        null = opened(os.devnull)
    with writer, null:
        arguments = [helper, str(pid), *words]
        child = spawn_program(path, arguments, [], "/", null.fileno(), writer.fileno())
    try:
        with reader:
            said = b""
            # Until it ends: no other process has the write end.
            while more := os.read(reader.fileno(), _OUTPUT_KEPT):
                said = (said + more)[:_OUTPUT_KEPT]
    finally:
        status = os.waitpid(child, 0)[1]
    if status:
        text = said.decode(errors="replace").strip() or f"status {status}"
        raise PyruncError(
            text, pointer=pointer, hint="see /etc/subuid and /etc/subgid for what you may map"
        )
