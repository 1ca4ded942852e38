# SPDX-License-Identifier: Apache-2.0
"""pyrunc state"""

from __future__ import annotations

import sys

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.jsontext import dumps_indented


def run(line: Line, log: Log) -> int:
    """Print a container's state, without a newline at the end, as runc does."""
    state = Container.load(line.arguments[0], root=root(line)).state
    sys.stdout.write(dumps_indented(state, "  "))
    return 0
