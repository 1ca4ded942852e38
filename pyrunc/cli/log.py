# SPDX-License-Identifier: Apache-2.0
"""The one place that writes log records: to stderr, or to --log (cli-contract 2.5)."""

from __future__ import annotations

import os
import time

from pyrunc.errors import UsageError

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")


class Log:
    """Where records go.

    Args:
        path: of the file, or "" for stderr.
        form: "text", "json" or "".

    Raises:
        UsageError: another form, or the file cannot be opened.
    """

    def __init__(self, path: str = "", form: str = "") -> None:
        if form not in ("", "text", "json"):
            raise UsageError(f"invalid log-format: {form}")
        self.json = form == "json"
        self.fd = -1
        if path:
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_SYNC | os.O_CLOEXEC
            try:
                self.fd = os.open(path, flags, 0o644)
            except OSError as error:
                from pyrunc.errors import errno_text

                raise UsageError(f"open {path}: {errno_text(error.errno or 0)}") from None

    def error(self, message: str) -> None:
        """One record; with --log also the bare message on stderr, where go-runc reads it."""
        self._write("error", message)
        if self.fd >= 0:
            _put(2, message + "\n")

    def warning(self, message: str) -> None:
        """Only to stderr: a log file gets exactly one record, the error (podman reads it so)."""
        if self.fd < 0:
            self._write("warning", message)

    def _write(self, level: str, message: str) -> None:
        _put(self.fd if self.fd >= 0 else 2, self._record(level, message) + "\n")

    def _record(self, level: str, message: str) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self.json:
            from pyrunc.jsontext import dumps

            return dumps({"level": level, "msg": message, "time": now})
        if not _PLAIN.issuperset(message):
            escaped = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            message = f'"{escaped}"'
        return f'time="{now}" level={level} msg={message}'


def _put(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode(errors="surrogateescape"))
    except OSError:
        pass  # the reader has gone; there is nobody else to tell
