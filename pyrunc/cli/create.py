# SPDX-License-Identifier: Apache-2.0
"""pyrunc create"""

from __future__ import annotations

import os
from typing import Any, TypedDict

from pyrunc.cli.log import Log
from pyrunc.cli.parse import TRUE, Line
from pyrunc.cli.root import root
from pyrunc.container import Container
from pyrunc.errors import KernelError, UsageError
from pyrunc.kernel.calls import close_on_exec_from
from pyrunc.lifecycle.caller_io import check_preserved
from pyrunc.lifecycle.signals import ENDING, Signals


def run(line: Line, log: Log) -> int:
    """Create a container; prints nothing, since 0 to 2 are the container's own."""
    given = arguments(line, log)
    if not log.verbose:  # nothing may be printed: 1 and 2 are the container's own
        given["warn"] = lambda _: None
    with Signals(ENDING) as signals:
        container = Container.create(**given, signals=signals)
    if log.verbose:
        log.debug(f"created {container.id}: pid {container.pid}")
    return 0


def arguments(line: Line, log: Log) -> dict[str, Any]:
    """The library call that a `create` or `run` line asks for.

    The process changes to the bundle, as runc does: hooks without a directory of their own
    start there. The caller's paths are relative to the directory before, so they are made
    absolute first.
    """
    options = line.options
    preserve, environment = _listen_fds()
    preserve += line.number("preserve-fds")
    check_preserved(preserve, log.fd)
    # Any other descriptor that the caller has left open is not passed on, not even to hooks.
    close_on_exec_from(3)
    given: dict[str, Any] = {
        "container_id": line.arguments[0],
        "root": root(line),
        "pid_file": line.path("pid-file"),
        "console_socket": line.path("console-socket"),
        "pidfd_socket": line.path("pidfd-socket"),
        "preserve_fds": preserve,
        "environment": environment,
        "no_pivot": line.flag("no-pivot"),
        "new_keyring": not line.flag("no-new-keyring"),
        "notify": bool(os.environ.get("NOTIFY_SOCKET")),
        "config": line.path("config") or "",
        "warn": log.warning,
        **cgroup(line),
    }
    bundle = options.get("bundle") or "."
    try:
        os.chdir(bundle)
    except OSError as error:
        raise KernelError("chdir", "", error.errno or 0, bundle) from None
    given["bundle"] = os.getcwd()
    return given


class _Manager(TypedDict):
    systemd_cgroup: bool
    no_cgroup: bool


def cgroup(line: Line) -> _Manager:
    """What makes the cgroup. podman passes both options, and means the newer one."""
    manager = line.globals.get("cgroup-manager")
    if manager is None:
        manager = "systemd" if line.globals.get("systemd-cgroup") in TRUE else "cgroupfs"
    if manager not in ("cgroupfs", "systemd", "disabled"):
        raise UsageError(
            f"invalid cgroup-manager: {manager}", hint="one of cgroupfs, systemd, disabled"
        )
    return {"systemd_cgroup": manager == "systemd", "no_cgroup": manager == "disabled"}


def _listen_fds() -> tuple[int, tuple[str, ...]]:
    """Sockets of systemd's activation to pass on, if they were meant for this process."""
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdigit() or os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 0, ()
    return int(count), (f"LISTEN_FDS={count}", "LISTEN_PID=1")
