# SPDX-License-Identifier: Apache-2.0
"""pyrunc start"""

from __future__ import annotations

import os

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.lifecycle.start import await_create
from pyrunc.lifecycle.store import state_root


def run(line: Line, log: Log) -> int:
    """Let a created container run its program."""
    await_create(state_root(root(line)), line.arguments[0])
    container = Container.load(line.arguments[0], root=root(line))
    container.start(notify_socket=os.environ.get("NOTIFY_SOCKET", ""))
    return 0
