# SPDX-License-Identifier: Apache-2.0
"""pyrunc inspect"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import one_line
from pyrunc.jsontext import dumps_indented

_WIDTH = 14


def run(line: Line, log: Log) -> int:
    """Print what is in force for a container."""
    found = Container.load(line.arguments[0], root=root(line)).inspect()
    if line.flag("json"):
        text = dumps_indented(found, "  ") + "\n"
    else:
        text = "".join(f"{one_line(row)}\n" for row in _rows(found))
    sys.stdout.write(text)
    return 0


def _row(name: str, value: object) -> str:
    return f"{name:{_WIDTH}}{value}".rstrip()


def _rows(found: dict[str, Any]) -> Iterator[str]:
    state = found["state"]
    for name in ("id", "status", "pid", "created", "bundle", "rootfs"):
        yield _row(name, state[name])
    if "process" not in found:
        return
    yield from _process(found["process"])
    for one in found["namespaces"]:
        shared = ", ".join(one["sharedWith"])
        yield _row("namespace", f"{one['type']} {one['inode']} {f'as {shared}' if shared else ''}")
    for one in found["mounts"]:
        options = ",".join([*one["options"], *one["propagation"]])
        yield _row("mount", f"{one['destination']} {one['type']} {one['source']} {options}")
    for kind, hooks in found["config"]["hooks"].items():
        for hook in hooks:
            yield _row("hook", f"{kind} {hook['path']}")
    for path in found["cgroup"]:
        yield _row("cgroup", path)
    yield from _usage(found.get("stats"))
    yield _row("processes", " ".join(map(str, found["processes"])))


def _process(process: dict[str, Any]) -> Iterator[str]:
    yield _row("user", f"{process['uids']['effective']}:{process['gids']['effective']}")
    for kind, names in process["capabilities"].items():
        yield _row(kind, " ".join(names) or "none")
    yield _row("no new privs", "yes" if process["noNewPrivileges"] else "no")
    yield _row("seccomp", f"{process['seccomp']['mode']} ({process['seccomp']['filters']})")
    yield _row("label", process["label"] or "none")


def _usage(stats: dict[str, Any] | None) -> Iterator[str]:
    if stats is None:
        return
    memory, pids = stats["memory"]["usage"], stats["pids"]
    yield _row("memory", f"{memory.get('usage', 0)} of {_limit(memory['limit'])} bytes")
    yield _row("tasks", f"{pids.get('current', 0)} of {_limit(pids.get('limit', 0))}")
    yield _row("cpu", f"{stats['cpu']['usage'].get('total', 0) / 1e9:.3f} s")
    for resource in ("cpu", "memory", "blkio"):
        if psi := stats[resource].get("psi"):
            yield _row("pressure", f"{resource} {psi['some']['avg10']} % of the last 10 s")


def _limit(value: int) -> str:
    return str(value) if 0 < value < 1 << 62 else "no limit"
