# SPDX-License-Identifier: Apache-2.0
"""pyrunc man: manual pages, made from the option table; for man(1), in groff's man macros."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line, UnknownCommand
from pyrunc.cli.table import COMMANDS, FLAG, GLOBAL, HELP, Option
from pyrunc.version import VERSION

# What a line of the table has no room for, a paragraph each.
_MORE = {
    "create": (
        "Reads config.json of the bundle, prepares everything, and waits for pyrunc-start(8). "
        "On success nothing is printed: descriptors 0, 1 and 2 become the container's own.",
    ),
    "delete": (
        "With --force it is no error if there is no such container. With --regex all containers "
        "whose ids match the regular expression are deleted; no match is no error, and one that "
        "cannot be deleted does not stop the others.",
    ),
    "events": (
        "A line is an object with type, id and data. Statistics come after each interval, and "
        '"oom" after an out-of-memory kill. The command ends with the container\'s last process.',
    ),
    "exec": ("Exit code 255 means that the process was not started; any other is its own.",),
    "kill": (
        "A signal is a number, or a name with or without SIG, in any case; RTMIN+n and RTMAX-n "
        "are names, too. SIGKILL ends all processes of a container that shares its pid namespace. "
        "With --all every process gets the signal, and a stopped container is no error.",
    ),
    "pause": (
        "pyrunc-resume(8) lets it continue. Signals that its processes handle wait until then.",
    ),
    "plan": (
        "The steps are those of pyrunc-init, in order, each with the property of config.json that "
        "asked for it and the reason why it stands where it does. Then comes the verdict of this "
        "host: ok; degraded (a property is left out, or something may be refused); impossible, "
        "with what to do about it. The exit code is 1 where it is impossible.",
    ),
    "ps": (
        "After the id come options of ps(1), whose output has to have a column PID; the default "
        "is -ef. With --format json the pids are printed.",
    ),
    "run": ("The exit code is that of the program, or 128 plus the signal that killed it.",),
    "update": (
        "Limits that are not given stay as they are. All are set, or none: if the kernel refuses "
        "one, the old values are in force again. Device rules are never changed. With "
        "--resources all other options are ignored.",
        "Sizes are bytes, or have one of the units k, m, g, t and p (powers of 1024); -1 is no "
        "limit.",
    ),
}
_FILES = (
    ("/run/pyrunc", "the state of root's containers; of others, $XDG_RUNTIME_DIR/pyrunc"),
    ("config.json", "in the bundle: what the container is (OCI runtime specification)"),
)
_CODES = (
    ("0", "success; run and exec in the foreground return the program's own code"),
    ("1", "an error, reported in one line"),
    ("3", "there is no such command"),
    ("255", "exec could not start the process"),
)


def run(line: Line, log: Log) -> int:
    """Print the manual page of a command, or of all."""
    name = line.arguments[0] if line.arguments else ""
    if name and name not in COMMANDS:
        raise UnknownCommand(f"No help topic for '{name}'")
    sys.stdout.write(_page(name) if name else _overview())
    return 0


def _overview() -> str:
    found = [*_head("", "an OCI container runtime")]
    found += [".B pyrunc", _text("[global option...] command [option...] [argument...]")]
    found += [".SH DESCRIPTION"]
    found += [_text("Creates, starts, signals, inspects and deletes containers that are "
                    "described by OCI bundles, as runc(8) does.")]  # fmt: skip
    found += [".SH COMMANDS"]
    for name, row in COMMANDS.items():
        found += [".TP", f".BR pyrunc\\-{name} (8)", _text(row.help)]
    found += [".SH GLOBAL OPTIONS", *_options(GLOBAL), *_tail("")]
    return "\n".join(found) + "\n"


def _page(command: str) -> str:
    row = COMMANDS[command]
    found = [*_head(command, row.help), f".B pyrunc {command}"]
    found += [_text(f"[option...] {row.arguments}".strip())]
    if command in _MORE:
        found.append(".SH DESCRIPTION")
        for paragraph in _MORE[command]:
            found += [".PP", _text(paragraph)]
    found += [".SH OPTIONS", *_options((*row.options, HELP)), *_tail(command)]
    return "\n".join(found) + "\n"


def _head(command: str, summary: str) -> tuple[str, ...]:
    name = f"pyrunc\\-{command}" if command else "pyrunc"
    title = f'.TH {name.upper()} 8 "" "pyrunc {_text(VERSION)}"'
    return title, ".SH NAME", f"{name} \\- {_text(summary)}", ".SH SYNOPSIS"


def _options(options: Iterable[Option]) -> list[str]:
    found = []
    for option in options:
        names = [f"\\fB{_text('--' + option.name)}\\fR"]
        if option.letter:
            names.append(f"\\fB{_text('-' + option.letter)}\\fR")
        value = "" if option.kind == FLAG else " \\fIvalue\\fR"
        found += [".TP", ", ".join(names) + value, _text(option.help)]
    return found


def _tail(command: str) -> list[str]:
    found = [".SH EXIT STATUS"]
    for code, meaning in _CODES:
        found += [".TP", code, _text(meaning)]
    if not command:
        found.append(".SH FILES")
        for path, meaning in _FILES:
            found += [".TP", f".I {_text(path)}", _text(meaning)]
        return [*found, ".SH SEE ALSO", ".BR runc (8),", ".BR crun (1)"]
    return [*found, ".SH SEE ALSO", ".BR pyrunc (8)"]


def _text(text: str) -> str:
    """Escaped for roff: no escapes or requests, and hyphens that can be copied."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + safe if safe[:1] in (".", "'") else safe
