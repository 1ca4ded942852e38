# SPDX-License-Identifier: Apache-2.0
"""Pressure stall information of a cgroup (v2): cpu.pressure, memory.pressure, io.pressure."""

from __future__ import annotations

import errno
from collections.abc import Callable

from pyrunc.cgroups.stats import Pressure, PressureLine
from pyrunc.errors import CgroupError


def pressure(read: Callable[[str], str], kind: str) -> Pressure | None:
    """The pressure on one resource.

    Args:
        read: the text of a file of the cgroup, "" when there is none.
        kind: "cpu", "memory" or "io".

    Returns:
        None where the kernel has no such file, or does not count (psi=0, cgroup.pressure).
    """
    try:
        text = read(f"{kind}.pressure")
    except CgroupError as error:
        if error.errno == errno.EOPNOTSUPP:
            return None
        raise
    return parse(text) if text else None


def parse(text: str) -> Pressure:
    """Two lines, "some" and "full"; the second is missing for processors before Linux 5.13."""
    lines = {}
    for line in text.splitlines():
        name, *words = line.split()
        values = dict(word.partition("=")[::2] for word in words)
        lines[name] = PressureLine(
            avg10=float(values.get("avg10", 0)),
            avg60=float(values.get("avg60", 0)),
            avg300=float(values.get("avg300", 0)),
            total=int(values.get("total", 0)),
        )
    nothing = PressureLine()
    return Pressure(some=lines.get("some", nothing), full=lines.get("full", nothing))
