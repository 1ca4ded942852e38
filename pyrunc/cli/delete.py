# SPDX-License-Identifier: Apache-2.0
"""pyrunc delete"""

from __future__ import annotations

import os

from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.log import Log
    from pyrunc.cli.parse import Line


def run(line: Line, log: Log) -> int:
    """Delete a container."""
    store.check_id(line.arguments[0])
    container = Container(root(line) or store.default_root(os.environ), line.arguments[0])
    for warning in container.delete(force=line.flag("force")):
        log.warning(warning)
    return 0
