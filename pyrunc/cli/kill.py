# SPDX-License-Identifier: Apache-2.0
"""pyrunc kill"""

from __future__ import annotations

import signal as signals

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.regex import for_each
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import UsageError

# Go does not parse more digits either.
_DIGITS = 19
# glibc's, whatever libc this is: musl reserves one more.
_RTMIN, _RTMAX = 34, 64
_OTHERS = {"SIGRTMIN": _RTMIN, "SIGRTMAX": _RTMAX, "SIGCLD": signals.SIGCHLD}


def run(line: Line, log: Log) -> int:
    """Send a signal to a container, or to all whose ids match a regular expression."""
    text = line.arguments[1] if len(line.arguments) > 1 else "TERM"
    if line.flag("regex"):
        signal = number(text)
        for_each(line, "kill", lambda found: found.kill(signal, all_processes=line.flag("all")))
        return 0
    # A container that does not exist is reported first, as in runc: engines wait for that.
    container = Container.load(line.arguments[0], root=root(line))
    signal = number(text)
    log.debug(f"signal {signal} to {container.id}")
    container.kill(signal, all_processes=line.flag("all"))
    return 0


def number(text: str) -> int:
    """A signal by number or name, in any case, with or without SIG; also RTMIN+1 and RTMAX-1.

    Raises:
        UsageError: there is none with that name.
    """
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and len(digits) < _DIGITS:
        return int(text)  # the kernel says whether there is such a signal
    name = "SIG" + text.upper().removeprefix("SIG")
    for first, sign in (("SIGRTMIN", "+"), ("SIGRTMAX", "-")):
        start, found, offset = name.partition(sign)
        if start == first and found and offset.isascii() and offset.isdigit():
            signal = _RTMAX - int(offset) if sign == "-" else _RTMIN + int(offset)
            if _RTMIN <= signal <= _RTMAX:
                return signal
    plain = _OTHERS.get(name) or getattr(signals, name, None)
    if isinstance(plain, int) and "_" not in name:
        return int(plain)
    raise UsageError(f'unknown signal "{text}"')
