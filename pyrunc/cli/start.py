# SPDX-License-Identifier: Apache-2.0
"""pyrunc start"""

from __future__ import annotations

import os

from pyrunc.cli.root import root
from pyrunc.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.log import Log
    from pyrunc.cli.parse import Line


def run(line: Line, log: Log) -> int:
    """Let a created container run its program."""
    container = Container.load(line.arguments[0], root=root(line))
    container.start(notify_socket=os.environ.get("NOTIFY_SOCKET", ""))
    return 0
