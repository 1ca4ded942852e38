# SPDX-License-Identifier: Apache-2.0
"""The one place that writes log records: to stderr, or to --log."""

from __future__ import annotations

import os
import sys
import time

from pyrunc.errors import UsageError, errno_text
from pyrunc.jsontext import dumps

ERROR, WARNING, DEBUG = "error", "warning", "debug"
LEVELS = (ERROR, WARNING, DEBUG)

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")


class Log:
    """Where records go.

    Args:
        path: of the file, or "" for stderr.
        form: "text", "json" or "".
        level: the lowest that is written: "error", "warning" or "debug".

    Raises:
        UsageError: an unknown form or level, or the file cannot be opened.
    """

    def __init__(self, path: str = "", form: str = "", level: str = WARNING) -> None:
        if form not in ("", "text", "json"):
            raise UsageError(f"invalid log-format: {form}")
        if level not in LEVELS:
            raise UsageError(f"invalid log-level: {level}", hint="one of " + ", ".join(LEVELS))
        self.json = form == "json"
        self.level = level
        self.fd = -1
        if path:
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_SYNC | os.O_CLOEXEC
            try:
                self.fd = os.open(path, flags, 0o644)
            except OSError as error:
                raise UsageError(f"open {path}: {errno_text(error.errno or 0)}") from None

    @property
    def verbose(self) -> bool:
        """Whether debug records are written."""
        return self.level == DEBUG

    def error(self, message: str) -> None:
        """One record; with --log also the bare message on stderr, where go-runc reads it."""
        self._write(ERROR, message)
        if self.fd >= 0:
            _put(2, message + "\n")

    def warning(self, message: str) -> None:
        """Only to stderr: a log file gets exactly one record, the error (podman reads it so).

        With debug records all of them go to one place.
        """
        if self.verbose or (self.fd < 0 and self.level == WARNING):
            self._write(WARNING, message)

    def debug(self, message: str) -> None:
        """What happens, for debugging."""
        if self.verbose:
            self._write(DEBUG, message)

    def _write(self, level: str, message: str) -> None:
        _put(self.fd if self.fd >= 0 else 2, self._record(level, message) + "\n")

    def _record(self, level: str, message: str) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        where = _caller() if self.verbose else {}
        if self.json:
            return dumps(where | {"level": level, "msg": message, "time": now})
        words = [f'time="{now}"', f"level={level}", f"msg={_quoted(message)}"]
        words += [f"{name}={_quoted(where[name])}" for name in ("func", "file") if where]
        return " ".join(words)


def _quoted(text: str) -> str:
    if _PLAIN.issuperset(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _caller() -> dict[str, str]:
    """Where the record comes from, with the keys that runc gives it under --debug."""
    frame = sys._getframe(1)
    here = frame.f_code.co_filename
    while frame.f_code.co_filename == here and frame.f_back:
        frame = frame.f_back
    module = frame.f_globals.get("__name__", "")
    file = os.path.basename(frame.f_code.co_filename)
    return {"file": f"{file}:{frame.f_lineno}", "func": f"{module}.{frame.f_code.co_qualname}"}


def _put(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode(errors="surrogateescape"))
    except OSError:
        pass  # the reader has gone; there is nowhere else to report
