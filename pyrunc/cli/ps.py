# SPDX-License-Identifier: Apache-2.0
"""pyrunc ps"""

from __future__ import annotations

import sys

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import UsageError
from pyrunc.jsontext import dumps
from pyrunc.observe import processes


def run(line: Line, log: Log) -> int:
    """Show the processes of a container, as the host's ps does or as their pids."""
    pids = Container.load(line.arguments[0], root=root(line)).processes()
    form = line.options.get("format") or "table"
    if form == "json":
        sys.stdout.write((dumps(pids) if pids else "null") + "\n")
    elif form == "table":
        sys.stdout.write(processes.table(pids, line.arguments[1:]))
    else:
        raise UsageError("invalid format option")
    return 0
