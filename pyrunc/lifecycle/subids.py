# SPDX-License-Identifier: Apache-2.0
"""newuidmap(1) and newgidmap(1): id maps that an unprivileged user may not write."""

from __future__ import annotations

import os

from pyrunc.errors import PyruncError
from pyrunc.kernel.process import spawn_program

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
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        child = spawn_program(path, [helper, str(pid), *words], [], "/", null, writer)
    finally:
        os.close(null)
        os.close(writer)
    try:
        said = os.read(reader, _OUTPUT_KEPT)  # until it ends: no other process has the write end
        while more := os.read(reader, _OUTPUT_KEPT):
            said = (said + more)[:_OUTPUT_KEPT]
    finally:
        os.close(reader)
        status = os.waitpid(child, 0)[1]
    if status:
        text = said.decode(errors="replace").strip() or f"status {status}"
        raise PyruncError(
            text, pointer=pointer, hint="see /etc/subuid and /etc/subgid for what you may map"
        )
