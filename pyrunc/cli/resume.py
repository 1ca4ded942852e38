# SPDX-License-Identifier: Apache-2.0
"""pyrunc resume"""

from __future__ import annotations

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container


def run(line: Line, log: Log) -> int:
    """Let a paused container continue."""
    Container.load(line.arguments[0], root=root(line)).resume()
    return 0
