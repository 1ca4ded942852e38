# SPDX-License-Identifier: Apache-2.0
"""pyrunc run"""

from __future__ import annotations

import os
from typing import Any

from pyrunc.cli.create import arguments
from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.container import Container
from pyrunc.kernel.calls import set_subreaper
from pyrunc.lifecycle.signals import ENDING, Signals


def run(line: Line, log: Log) -> int:
    """Create and start a container; without --detach wait for it, and delete it."""
    given = arguments(line, log)
    manager = os.environ.get("NOTIFY_SOCKET", "")
    if not line.flag("no-subreaper"):
        set_subreaper(True)
    if line.flag("detach"):
        _detached(given, manager, log)
        return 0
    ended = Container.run(**given, keep=line.flag("keep"), notify_socket=manager)
    assert ended.code is not None  # it was our child
    return ended.code


def _detached(given: dict[str, Any], manager: str, log: Log) -> None:
    with Signals(ENDING) as signals:
        container = Container.create(**given, signals=signals)
        try:
            container.start(notify_socket=manager, signals=signals)
        except BaseException:
            container.delete(force=True, signals=signals, warn=log.warning)
            raise
