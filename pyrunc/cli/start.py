# SPDX-License-Identifier: Apache-2.0
"""pyrunc start"""

from __future__ import annotations

from pyrunc.cli.root import root
from pyrunc.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.log import Log
    from pyrunc.cli.parse import Line


def run(line: Line, log: Log) -> int:
    """Let a created container run its program."""
    Container.load(line.arguments[0], root=root(line)).start()
    return 0
