# SPDX-License-Identifier: Apache-2.0
"""pyrunc list"""

from __future__ import annotations

import os
import sys
from typing import Any

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.errors import KernelError, UsageError
from pyrunc.jsontext import dumps
from pyrunc.lifecycle import store
from pyrunc.observe.listing import listing

_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")
_LEAST, _GAP = 12, 3


def run(line: Line, log: Log) -> int:
    """List the containers below the state root."""
    form = line.options.get("format") or "table"
    if form not in ("table", "json"):
        raise UsageError("invalid format option")
    chosen = root(line)
    where = chosen or store.default_root(os.environ)
    try:
        rows, problems = listing(where)
    except FileNotFoundError as error:
        if chosen is not None:
            raise KernelError("open", "", error.errno or 0, where) from None
        rows, problems = [], []
    for problem in problems:
        sys.stderr.write(problem + "\n")
    if line.flag("quiet"):
        sys.stdout.write("".join(f"{row['id']}\n" for row in rows))
    elif form == "json":
        sys.stdout.write((dumps(rows) if rows else "null") + "\n")
    else:
        sys.stdout.write(_table(rows))
    return 0


def _table(rows: list[dict[str, Any]]) -> str:
    """As Go's tabwriter formats it: columns at least 12 wide, 3 spaces between."""
    cells = [tuple(name.upper() for name in _COLUMNS)]
    cells += [tuple(map(str, map(row.__getitem__, _COLUMNS))) for row in rows]
    widths = [max(_LEAST, max(map(len, column)) + _GAP) for column in zip(*cells, strict=True)]
    # The last column has no width, so that lines have no blanks at their ends.
    line = "".join(f"%-{width}s" for width in widths[:-1]) + "%s\n"
    return "".join([line % cell for cell in cells])
