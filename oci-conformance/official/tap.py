# SPDX-License-Identifier: Apache-2.0
"""The Test Anything Protocol, as far as the suite's programs speak it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_POINT = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*)$")
_DIRECTIVE = re.compile(r"#\s*(skip|todo)\b.*$", re.IGNORECASE)


@dataclass
class Points:
    """What a program has printed.

    Attributes:
        passed, skipped: how many points.
        failed: their descriptions.
        remarks: comments and other lines, for people.
    """

    passed: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def parse(text: str) -> Points:
    """Count a program's points; a skipped or to-do point counts neither way."""
    points = Points()
    for line in text.splitlines():
        found = _POINT.match(line)
        if found is None:
            if line.strip() and not re.match(r"^(1\.\.\d+|TAP version \d+)$", line):
                points.remarks.append(line)
            continue
        negative, _, description = found.groups()
        if _DIRECTIVE.search(description):
            points.skipped += 1
        elif negative:
            points.failed.append(description.strip() or "(no description)")
        else:
            points.passed += 1
    return points
