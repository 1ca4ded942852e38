# SPDX-License-Identifier: Apache-2.0
"""Reads a command line as Go's flag package does: one dash or two, --name=value, and options
before and after the arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches

from pyrunc.cli.table import COMMANDS, FLAG, GLOBAL, HELP, INTEGER, LIST, NUMBER, Option
from pyrunc.errors import UsageError

TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Line:
    """A parsed command line.

    Attributes:
        command: its name, or "" if there is none.
        options: of the command, by long name; what was not given is absent.
        lists: of the command, the options that may be given more than once.
        globals: the options before the command.
        arguments: the rest.
    """

    __slots__ = ("arguments", "command", "globals", "lists", "options")

    def __init__(self) -> None:
        self.command = ""
        self.globals: dict[str, str] = {}
        self.options: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.arguments: list[str] = []

    def flag(self, name: str) -> bool:
        """A boolean option of the command."""
        return self.options.get(name, "false") in TRUE

    def number(self, name: str) -> int:
        """A numeric option of the command, 0 if it was not given."""
        return int(self.options.get(name, "0"))

    def path(self, name: str) -> str | None:
        """A path option of the command, absolute; None if it was not given, or empty."""
        given = self.options.get(name)
        return os.path.abspath(given) if given else None


class UnknownCommand(UsageError):
    exit_code = 3


class WrongCount(UsageError):
    """Too many arguments, or too few."""


def parse(argv: Sequence[str], line: Line) -> None:
    """Read a command line into `line`, which keeps what was read when it is wrong.

    Args:
        argv: without the program's name.
        line: to be filled.

    Raises:
        UsageError: in the words that engines match.
        UnknownCommand: exit code 3.
    """
    rest = _options(list(argv), GLOBAL, line.globals, [], True, line.lists)
    if not rest:
        return
    name = "help" if rest[0] == "h" else rest[0]
    if name not in COMMANDS:
        raise UnknownCommand(f"No help topic for '{name}'", hint=likely(name))
    line.command = name
    command = COMMANDS[name]
    known = (*command.options, HELP)
    rest = _options(rest[1:], known, line.options, line.arguments, command.stops, line.lists)
    line.arguments += rest
    if "help" not in line.options:
        _check_count(name, len(line.arguments), command.least, command.most)


def likely(name: str) -> str:
    """A hint at the command that is probably meant, or ""."""
    found = get_close_matches(name, COMMANDS, 1)
    return f"did you mean {found[0]}?" if found else ""


def _check_count(name: str, given: int, least: int, most: int) -> None:
    if least <= given <= most:
        return
    words = f"exactly {least}"
    if least != most:
        words = f"a minimum of {least}" if given < least else f"a maximum of {most}"
    hint = _ON_BUNDLES if name in ("create", "run") and given > most else ""
    raise WrongCount(f'pyrunc: "{name}" requires {words} argument(s)', hint=hint)


# For users of the engines.
_ON_BUNDLES = (
    "a bundle is run, not an image: unpack one into rootfs/, `pyrunc spec` writes config.json, "
    "process.args in it is the program"
)


def _options(
    words: list[str],
    known: Sequence[Option],
    found: dict[str, str],
    arguments: list[str],
    stops: bool,
    lists: dict[str, list[str]],
) -> list[str]:
    """Take options off `words`; returns what is left when parsing stops."""
    by_name = {option.name: option for option in known}
    by_name |= {option.letter: option for option in known if option.letter}
    while words:
        word = words.pop(0)
        if word == "--":
            return words
        if not word.startswith("-") or word == "-":
            if stops:
                return [word, *words]
            arguments.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        option = by_name.get(name)
        if option is None:
            raise UsageError(f"flag provided but not defined: -{name}")
        text = _value(option, name, value if equals else None, words)
        found[option.name] = text
        if option.kind == LIST:
            lists.setdefault(option.name, []).append(text)
    return []


def _value(option: Option, name: str, value: str | None, words: list[str]) -> str:
    if option.kind == FLAG:
        if value is not None and value not in TRUE | _FALSE:
            raise UsageError(f'invalid boolean value "{value}" for -{name}: parse error')
        return "true" if value is None else value
    if value is None:
        if not words:
            raise UsageError(f"flag needs an argument: -{name}")
        value = words.pop(0)
    digits = value.removeprefix("-") if option.kind == INTEGER else value
    if option.kind in (NUMBER, INTEGER) and not (digits.isascii() and digits.isdigit()):
        raise UsageError(f'invalid value "{value}" for flag -{name}: parse error')
    return value
