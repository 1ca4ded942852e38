# SPDX-License-Identifier: Apache-2.0
"""The `pyrunc` command: parses the line, runs one command, logs errors."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from pyrunc.cli.help import help_text
from pyrunc.cli.log import DEBUG, WARNING, Log
from pyrunc.cli.parse import TRUE, Line, WrongCount, parse
from pyrunc.cli.version import version_text
from pyrunc.errors import Interrupted, KernelError, PyruncError, UsageError, errno_text

_NOT_STARTED = 255


def main() -> NoReturn:
    """Run the command line of this process, and end it."""
    sys.excepthook = _unexpected
    sys.unraisablehook = _unraisable
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()  # what goes with an error; an answer has been written already
    except OSError:
        code = code or 1
    # Not sys.exit: tearing the interpreter down takes longer than `state` does.
    os._exit(code)


def _unexpected(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """A bug, or an interrupt: still one line."""
    what = "interrupted" if kind is KeyboardInterrupt else f"internal error: {kind.__name__}"
    Log().error(f"{what}: {error}" if str(error) else what)
    os._exit(130 if kind is KeyboardInterrupt else 1)  # as errors.Interrupted


def _unraisable(found: object) -> None:
    """From a destructor at exit: what it could not close, the kernel does."""


def run(argv: list[str]) -> int:
    """Run one command line.

    Args:
        argv: without the program's name.

    Returns:
        The exit code.
    """
    line = Line()
    log = Log()
    try:
        try:
            parse(argv, line)
        except UsageError as error:
            log = _log(line)
            return _misused(line, error, log)
        log = _log(line)
        code = _dispatch(line, log)
        _flush()
        return code
    except PyruncError as error:
        log.error(_prefix(line.command, error.stage) + str(error))
        # Not an exit code of a process: the caller must see that none was started.
        if line.command == "exec" and not isinstance(error, Interrupted):
            return _NOT_STARTED
        return error.exit_code
    except OSError as error:
        thing = f" {error.filename}" if error.filename else ""
        log.error(f"{_prefix(line.command)}{errno_text(error.errno or 0)}{thing}")
        return _NOT_STARTED if line.command == "exec" else 1
    except (MemoryError, RecursionError) as error:
        log.error(f"{_prefix(line.command)}{type(error).__name__}")
        return 1


def _flush() -> None:
    """Write the answer now, while a failure can still be reported."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise KernelError("write to standard output", "write", error.errno or 0) from None


def _prefix(command: str, stage: str = "") -> str:
    """runc's own words: docker and containerd show them to users, who search for them."""
    if command == "exec":
        return f"exec failed: {stage}"
    return f"runc {command} failed: {stage}" if command in ("create", "run") else ""


def _log(line: Line) -> Log:
    given = line.globals
    level = DEBUG if given.get("debug") in TRUE else WARNING
    return Log(given.get("log", ""), given.get("log-format", ""), given.get("log-level", level))


def _misused(line: Line, error: UsageError, log: Log) -> int:
    if error.exit_code == 1:
        what = "." if isinstance(error, WrongCount) else f": {error}"
        sys.stdout.write(f"Incorrect Usage{what}\n\n{help_text(line.command)}")
    log.error(str(error))
    return error.exit_code


def _dispatch(line: Line, log: Log) -> int:
    if "version" in line.globals:
        sys.stdout.write(version_text())
        return 0
    if not line.command or "help" in line.options or "help" in line.globals:
        sys.stdout.write(help_text(line.command))
        return 0
    if log.verbose:
        # Not the options' values: a variable of `exec` may be a secret.
        what = (line.command, *line.arguments[:1], *(f"--{name}" for name in line.options))
        log.debug(" ".join(what))
    # By name from the table, so that a command does not load the others.
    module = __import__(f"pyrunc.cli.{line.command}", fromlist=["run"])
    code: int = module.run(line, log)
    log.debug(f"{line.command}: exit code {code}")
    return code
