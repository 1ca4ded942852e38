# SPDX-License-Identifier: Apache-2.0
"""pyrunc wait"""

from __future__ import annotations

import sys

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import ContainerNotRunning
from pyrunc.exits import Exit
from pyrunc.jsontext import dumps


def run(line: Line, log: Log) -> int:
    """Wait until a container's program has ended, and print how."""
    container = Container.load(line.arguments[0], root=root(line))
    try:
        ended = container.wait()
    except ContainerNotRunning:
        ended = Exit(None)  # long ago, and nobody has kept how
    if line.flag("json"):
        text = dumps({"code": ended.code, "signal": ended.signal, "reason": ended.reason})
    else:
        text = "unknown" if ended.code is None else str(ended.code)
    sys.stdout.write(text + "\n")
    return 0
