# SPDX-License-Identifier: Apache-2.0
"""pyrunc events"""

from __future__ import annotations

import os
from typing import Any

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.cli.values import duration
from pyrunc.container import Container
from pyrunc.errors import UsageError
from pyrunc.jsontext import dumps
from pyrunc.observe import stats


def run(line: Line, log: Log) -> int:
    """Print statistics and out-of-memory kills until the container has ended."""
    container = Container.load(line.arguments[0], root=root(line))
    interval = _interval(line)
    if line.flag("stats"):
        _put(stats.event(container.id, container.stats()))
        return 0
    with container.events(interval=interval) as events:
        for found in events:
            if found.stats is None:
                document = stats.oom_event(container.id)
            else:
                document = stats.event(container.id, found.stats)
            if not _put(document):
                break
    return 0


def _interval(line: Line) -> float:
    text = line.options.get("interval")
    if text is None:
        return 5.0
    seconds = duration(text)
    if seconds is None:
        raise UsageError(
            f'invalid value "{text}" for flag -interval: parse error', hint="as in 500ms, 5s, 1m30s"
        )
    if seconds <= 0:
        raise UsageError("duration interval must be greater than 0")
    return seconds


def _put(document: dict[str, Any]) -> bool:
    """Write a line, unbuffered; False when there is no reader any more."""
    data = (dumps(document) + "\n").encode()
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        return False
    return True
