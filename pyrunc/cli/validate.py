# SPDX-License-Identifier: Apache-2.0
"""pyrunc validate"""

from __future__ import annotations

import sys

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.errors import one_line
from pyrunc.jsontext import dumps_indented
from pyrunc.observe.validation import validate


def run(line: Line, log: Log) -> int:
    """Print what is wrong with a configuration; 1 if something is."""
    name = line.options.get("config", "")
    found = validate(line.options.get("bundle") or ".", config=name)
    faults = sum(finding.fault for finding in found)
    if line.flag("json"):
        text = dumps_indented([finding.to_json() for finding in found], "  ") + "\n"
    else:
        rows = [f"{'error' if one.fault else 'warning'}: {one_line(str(one))}" for one in found]
        rows.append(f"{name or 'config.json'}: {_summary(faults, len(found) - faults)}")
        text = "\n".join(rows) + "\n"
    sys.stdout.write(text)
    return 1 if faults or (found and line.flag("strict")) else 0


def _summary(faults: int, odd: int) -> str:
    counts = [(faults, "error"), (odd, "warning")]
    words = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count]
    return ", ".join(words) or "valid"
