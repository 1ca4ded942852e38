# SPDX-License-Identifier: Apache-2.0
"""pyrunc delete"""

from __future__ import annotations

import os

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.regex import for_each
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.lifecycle import store


def run(line: Line, log: Log) -> int:
    """Delete a container, or all whose ids match a regular expression."""
    if line.flag("regex"):
        for_each(line, "delete", lambda found: _delete(found, line, log))
        return 0
    store.check_id(line.arguments[0])
    container = Container(root(line) or store.default_root(os.environ), line.arguments[0])
    _delete(container, line, log)
    return 0


def _delete(container: Container, line: Line, log: Log) -> None:
    container.delete(force=line.flag("force"), warn=log.warning)
