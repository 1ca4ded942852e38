# SPDX-License-Identifier: Apache-2.0
"""`ps`: the host's ps(1), and of its rows those that are a container's. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pyrunc.errors import PyruncError
from pyrunc.kernel.calls import pipe

_DEFAULT = ("-ef",)
_CHUNK = 65536


class _PsError(PyruncError):
    def __str__(self) -> str:
        # Its own lines, as runc hands them on: they come from ps alone, not from a container.
        return self.message


def table(pids: Sequence[int], options: Sequence[str] = ()) -> str:
    """What ps(1) prints of some processes.

    Args:
        pids: theirs, as this process sees them.
        options: of ps; the default is "-ef". There has to be a column PID.

    Returns:
        The header and the rows, each with its line break.

    Raises:
        PyruncError: ps is not there or fails, or prints no PIDs.
    """
    lines = _ps(options or _DEFAULT).split("\n")
    titles = lines[0].split()
    if "PID" not in titles:
        raise PyruncError("couldn't find PID field in ps output")
    column = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    rows = [line for line in lines[1:] if line]
    found = [row for row in rows if _number(row, column) in wanted]
    return "".join(f"{line}\n" for line in (lines[0], *found))


def _number(row: str, column: int) -> str:
    words = row.split()
    text = words[column] if column < len(words) else ""
    if not text.isdigit():
        raise PyruncError(f'unable to parse pid: no number in column {column + 1} of "{row}"')
    return text


def _ps(options: Sequence[str]) -> str:
    """Run ps with its output and its errors in one pipe, as runc does."""
    reader, writer = pipe("run ps")
    actions = [(os.POSIX_SPAWN_DUP2, writer.fileno(), fd) for fd in (1, 2)]
    try:
        with writer:
            # Not subprocess: nothing else of the command needs that.
            pid = os.posix_spawnp("ps", ["ps", *options], os.environ, file_actions=actions)
    except FileNotFoundError:
        raise PyruncError('exec: "ps": executable file not found in $PATH') from None
    data = b""
    try:
        with reader:
            while chunk := os.read(reader.fileno(), _CHUNK):
                data += chunk
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = data.decode("utf-8", "surrogateescape")
    if status:
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise _PsError(f"{how}: {text}")
    return text
