# SPDX-License-Identifier: Apache-2.0
"""pyrunc help: made from the option table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line, UnknownCommand, likely
from pyrunc.cli.table import COMMANDS, FLAG, GLOBAL, HELP, Option


def run(line: Line, log: Log) -> int:
    """Show the help of a command, or of all."""
    name = line.arguments[0] if line.arguments else ""
    if name and name not in COMMANDS:
        raise UnknownCommand(f"No help topic for '{name}'", hint=likely(name))
    sys.stdout.write(help_text(name))
    return 0


def help_text(command: str) -> str:
    """The help of a command; "" is the overview."""
    if command:
        row = COMMANDS[command]
        usage = f"pyrunc {command} [options] {row.arguments}".rstrip()
        return (
            f"NAME:\n   pyrunc {command} - {row.help}\n\nUSAGE:\n   {usage}\n\n"
            f"OPTIONS:\n{_rows((*row.options, HELP))}"
        )
    width = max(map(len, COMMANDS)) + 3
    commands = "".join(f"   {name:{width}}{row.help}\n" for name, row in COMMANDS.items())
    return (
        "NAME:\n   pyrunc - an OCI container runtime\n\n"
        "USAGE:\n   pyrunc [global options] command [command options] [arguments]\n\n"
        f"COMMANDS:\n{commands}\nGLOBAL OPTIONS:\n{_rows(GLOBAL)}"
    )


def _rows(options: Sequence[Option]) -> str:
    left = []
    for option in options:
        name = f"--{option.name}" + (f", -{option.letter}" if option.letter else "")
        left.append(name if option.kind == FLAG else f"{name} value")
    width = max(map(len, left)) + 3
    rows = zip(left, options, strict=True)
    return "".join(f"   {name:{width}}{option.help}\n" for name, option in rows)
