# SPDX-License-Identifier: Apache-2.0
"""pyrunc update"""

from __future__ import annotations

import os
from typing import Any

from pyrunc import jsontext
from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.cli.values import size
from pyrunc.container import Container
from pyrunc.errors import SpecError, UsageError, errno_text

# Option, section and member of linux.resources.
_NUMBERS = (
    ("blkio-weight", "blockIO", "weight"),
    ("cpu-period", "cpu", "period"),
    ("cpu-quota", "cpu", "quota"),
    ("cpu-burst", "cpu", "burst"),
    ("cpu-share", "cpu", "shares"),
    ("cpu-rt-period", "cpu", "realtimePeriod"),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
    ("cpu-idle", "cpu", "idle"),
    ("pids-limit", "pids", "limit"),
)
_SIZES = (
    ("memory", "memory", "limit"),
    ("memory-reservation", "memory", "reservation"),
    ("memory-swap", "memory", "swap"),
)
_TEXTS = (("cpuset-cpus", "cpu", "cpus"), ("cpuset-mems", "cpu", "mems"))
_RDT = (("l3-cache-schema", "l3CacheSchema"), ("mem-bw-schema", "memBwSchema"))


def run(line: Line, log: Log) -> int:
    """Change the limits of a container."""
    container = Container.load(line.arguments[0], root=root(line))
    path = line.options.get("resources")
    rdt: dict[str, str] = {}
    if path:
        # All other options are ignored then, as runc's help says.
        asked = _document(path)
    else:
        asked = _resources(line)
        rdt = {name: line.options[option] for option, name in _RDT if line.options.get(option)}
    log.debug(f"new limits: {asked} {rdt or ''}")
    try:
        container.update(asked, rdt=rdt, warn=log.warning)
    except SpecError as error:
        error.document = _name(path) if path else error.document
        raise
    if "kernel-memory" in line.options or "kernel-memory-tcp" in line.options:
        log.warning("Kernel memory settings are ignored and will be removed")
    return 0


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


def _document(path: str) -> dict[str, Any]:
    name = _name(path)
    try:
        fd = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"open {path}: {errno_text(error.errno or 0)}") from None
    data = b""
    try:
        # One byte past the limit is enough for the parser to refuse it.
        while len(data) <= jsontext.MAX_BYTES and (chunk := os.read(fd, 1 << 16)):
            data += chunk
    except OSError as error:
        raise UsageError(f"read {path}: {errno_text(error.errno or 0)}") from None
    finally:
        os.close(fd)
    found = jsontext.loads(data, name)
    if not isinstance(found, dict):
        raise SpecError("must be an object, as linux.resources is", document=name)
    return found


def _resources(line: Line) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rows, read in ((_NUMBERS, _number), (_SIZES, size), (_TEXTS, _text)):
        for option, section, member in rows:
            value = line.options.get(option)
            if value:
                found.setdefault(section, {})[member] = read(option, value)
    return found


def _number(option: str, value: str) -> int:
    number = int(value)  # checked by the parser
    return max(number, -1) if option == "pids-limit" else number  # any negative is no limit


def _text(option: str, value: str) -> str:
    return value
