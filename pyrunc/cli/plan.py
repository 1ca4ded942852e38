# SPDX-License-Identifier: Apache-2.0
"""pyrunc plan"""

from __future__ import annotations

import sys

from pyrunc.cli.create import cgroup
from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.creation import plan
from pyrunc.jsontext import dumps_indented


def run(line: Line, log: Log) -> int:
    """Print what `create` would do, and what stands against it."""
    made = plan(
        line.options.get("bundle") or ".",
        root=root(line),
        config=line.options.get("config") or "",
        no_pivot=line.flag("no-pivot"),
        new_keyring=not line.flag("no-new-keyring"),
        **cgroup(line),
    )
    text = dumps_indented(made.to_json(), "  ") if line.flag("json") else str(made)
    sys.stdout.write(f"{text}\n")
    return 1 if made.verdict == "impossible" else 0
