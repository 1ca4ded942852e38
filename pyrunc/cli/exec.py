# SPDX-License-Identifier: Apache-2.0
"""pyrunc exec"""

from __future__ import annotations

from typing import Any

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import UsageError
from pyrunc.kernel.calls import close_on_exec_from
from pyrunc.lifecycle.caller_io import check_preserved
from pyrunc.lifecycle.exec_process import parse_user
from pyrunc.lifecycle.signals import ENDING, Signals


def run(line: Line, log: Log) -> int:
    """Run another process in a container; detached, nothing is printed: 1 and 2 are its own."""
    check_preserved(line.number("preserve-fds"), log.fd)
    # Any other descriptor that the caller has left open is not passed on.
    close_on_exec_from(3)
    options = line.options
    given: dict[str, Any] = {
        "pid_file": line.path("pid-file"),
        "console_socket": line.path("console-socket"),
        "pidfd_socket": line.path("pidfd-socket"),
        "preserve_fds": line.number("preserve-fds"),
        "cgroup": _cgroups(line.lists.get("cgroup", [])),
        "ignore_paused": line.flag("ignore-paused"),
        "warn": log.warning,
    }
    container = Container.load(line.arguments[0], root=root(line))
    args: tuple[str, ...] = ()
    if options.get("process"):
        # It is complete; the other options about the process are ignored, as in runc.
        given["process"] = options["process"]
    else:
        args = tuple(line.arguments[1:])
        given |= _changes(line)
    if line.flag("detach"):
        with Signals(ENDING) as signals:
            process = container.popen(args, detached=True, signals=signals, **given)
            process.detach()  # its exit status is the caller's
        return 0
    ended = container.exec_foreground(args, **given)
    assert ended.code is not None  # it was our child
    return ended.code


def _changes(line: Line) -> dict[str, Any]:
    options, lists = line.options, line.lists
    uid, gid = parse_user(options["user"]) if options.get("user") else (None, None)
    return {
        "env": tuple(lists.get("env", ())),
        "cwd": options.get("cwd"),
        "uid": uid,
        "gid": gid,
        "groups": tuple(_gid(text) for text in lists.get("additional-gids", ())),
        "capabilities": tuple(lists.get("cap", ())),
        "no_new_privileges": line.flag("no-new-privs"),
        "selinux_label": options.get("process-label"),
        "apparmor_profile": options.get("apparmor"),
        "terminal": line.flag("tty"),
    }


def _gid(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f'invalid value "{text}" for flag -additional-gids: parse error')
    return parse_user(text)[0]


def _cgroups(given: list[str]) -> dict[str, str]:
    """``[CONTROLLER[,...]:]PATH``, once or for several hierarchies."""
    paths: dict[str, str] = {}
    for text in given:
        names, colon, path = text.partition(":")
        for name in names.split(",") if colon else ("",):
            paths[name] = path if colon else text
    return paths
