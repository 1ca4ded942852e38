# SPDX-License-Identifier: Apache-2.0
"""pyrunc kill"""

from __future__ import annotations

import _signal

from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.log import Log
    from pyrunc.cli.parse import Line


def run(line: Line, log: Log) -> int:
    """Send a signal to a container."""
    signal = number(line.arguments[1] if len(line.arguments) > 1 else "TERM")
    container = Container.load(line.arguments[0], root=root(line))
    container.kill(signal, everything=line.flag("all"))
    return 0


def number(text: str) -> int:
    """A signal by number or name, in any case, with or without SIG.

    Raises:
        UsageError: there is none of that name.
    """
    if text.isascii() and text.isdigit():
        if int(text) < _signal.NSIG:
            return int(text)
    else:
        name = "SIG" + text.upper().removeprefix("SIG")
        found = getattr(_signal, name, None)
        if isinstance(found, int) and "_" not in name:
            return found
    raise UsageError(f'unknown signal "{text}"')
