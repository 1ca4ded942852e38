# SPDX-License-Identifier: Apache-2.0
"""pyrunc pause"""

from __future__ import annotations

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container


def run(line: Line, log: Log) -> int:
    """Freeze all processes of a container."""
    Container.load(line.arguments[0], root=root(line)).pause()
    return 0
