# SPDX-License-Identifier: Apache-2.0
"""The --root option."""

from __future__ import annotations

import os

from pyrunc.cli.parse import Line
from pyrunc.errors import UsageError


def root(line: Line) -> str | None:
    """The state root of the line; None for the default."""
    chosen = line.globals.get("root")
    if chosen is not None and os.path.abspath(chosen) == "/":
        raise UsageError("Option --root argument should not be set to /")
    return os.path.abspath(chosen) if chosen else None
