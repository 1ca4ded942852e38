# SPDX-License-Identifier: Apache-2.0
"""The keywords that several calls of the library take, for the type checker and for readers.

A misspelt one is an error of mypy's at the call, and a TypeError when it runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypedDict

from pyrunc.errors import PyruncWarning
from pyrunc.lifecycle.signals import Signals
from pyrunc.limits import Limits

Warn = Callable[[str], None]
Stream = int | BinaryIO | None


class CallKeywords(TypedDict, total=False):
    """Of each call that may warn, or wait.

    Keys:
        warn: called with each warning, one line; without it each is issued as a `PyruncWarning`
            by Python's `warnings`.
        signals: those that interrupt the call, for a program's main thread (the command line).
    """

    warn: Warn
    signals: Signals


class PlanKeywords(TypedDict, total=False):
    """Of `pyrunc.plan`, and of each call that makes a container.

    Keys:
        config: another file to read instead of the bundle's config.json.
        root: state root; default as for the command line.
        new_keyring: join a session keyring of the container's own (the default).
        systemd_cgroup: let systemd make the cgroup.
        no_cgroup: stay in the caller's cgroup, unlimited.
        no_pivot: for hosts whose root is an initramfs; less safe (see SECURITY.md).
        limits: override those of config.json.
    """

    config: str
    root: str | None
    new_keyring: bool
    systemd_cgroup: bool
    no_cgroup: bool
    no_pivot: bool
    limits: Limits | None


class CreateKeywords(CallKeywords, PlanKeywords, total=False):
    """Of `Container.create`, `run` and `restore`, besides those of `plan`.

    Keys:
        stdio: descriptors for the container's 0, 1 and 2 (without a terminal).
        console_socket: path of an AF_UNIX stream socket, or a connected descriptor, for the
            terminal's master. Needed exactly if process.terminal is true.
        pidfd_socket: path of a socket that is sent a pidfd of the process.
        pid_file: where to write the pid, replaced at once and without a newline.
        preserve_fds: how many descriptors, from 3 on, the container keeps.
        environment: ``NAME=value`` to add to process.env.
        notify: give the program a socket for sd_notify(3), which `start` relays.
    """

    stdio: tuple[int, int, int]
    console_socket: str | int | None
    pidfd_socket: str | None
    pid_file: str | None
    preserve_fds: int
    environment: tuple[str, ...]
    notify: bool


class CriuKeywords(TypedDict, total=False):
    """What a checkpoint and a restore may ask of CRIU, as `lifecycle.criu.CriuOptions` has it."""

    work_path: str
    tcp_established: bool
    ext_unix_sk: bool
    shell_job: bool
    file_locks: bool
    manage_cgroups_mode: str
    empty_ns: tuple[str, ...]
    auto_dedup: bool
    lazy_pages: bool


class RestoreKeywords(CreateKeywords, total=False):
    """Of `Container.restore` and `run_restored`, besides those of `create`.

    Keys:
        criu: further options of CRIU.
        tcp_close, lsm_profile, lsm_mount_context: as `lifecycle.restore.RestoreOptions` has them.
    """

    criu: CriuKeywords
    tcp_close: bool
    lsm_profile: str
    lsm_mount_context: str


class CheckpointKeywords(CallKeywords, total=False):
    """Of `Container.checkpoint`.

    Keys:
        criu: further options of CRIU.
        the others: as `lifecycle.checkpoint.CheckpointOptions` has them.
    """

    criu: CriuKeywords
    leave_running: bool
    pre_dump: bool
    parent_path: str
    tcp_skip_in_flight: bool
    link_remap: bool
    page_server: tuple[str, int] | None
    status_fd: int


class ExecKeywords(CallKeywords, total=False):
    """Of `Container.popen`, `exec` and `exec_foreground`.

    Keys:
        stdin, stdout, stderr: None to share the caller's, a descriptor or file, or pyrunc.PIPE,
            pyrunc.DEVNULL, pyrunc.STDOUT.
        terminal: give it one; without a console_socket the process's `terminal` is its master.
        env: ``NAME=value``, or a dict; added to the container's own.
        cwd, uid, gid, groups, capabilities, no_new_privileges, selinux_label, apparmor_profile:
            what differs from the container's own process (`lifecycle.exec_process.ExecOptions`).
        process: instead of all those, the whole process object, as a dict or the path of a JSON
            file.
        own_cgroup: give it a cgroup below the container's, so that `kill` and a timeout end all
            that it has started.
        limits: such a cgroup with limits of its own, in the form that `update` takes; on cgroup
            v2 the kernel supports only cpus, cpuset and pids there, on v1 all but block devices
            and network. While it exists the container's own cannot be updated to less.
        cgroup: controller or "" -> path of an existing cgroup below the container's.
        console_socket, pidfd_socket, pid_file, preserve_fds: as for `create`.
        ignore_paused: start it in a paused container too; it runs after `resume`.
        detached: the caller does not wait for it: a terminal then needs a console_socket.
    """

    stdin: Stream
    stdout: Stream
    stderr: Stream
    terminal: bool
    env: tuple[str, ...] | dict[str, str]
    cwd: str | None
    uid: int | None
    gid: int | None
    groups: tuple[int, ...]
    capabilities: tuple[str, ...]
    no_new_privileges: bool
    selinux_label: str | None
    apparmor_profile: str | None
    process: dict[str, Any] | str | None
    own_cgroup: bool
    limits: Limits | dict[str, Any] | None
    cgroup: dict[str, str] | None
    console_socket: str | int | None
    pidfd_socket: str | None
    pid_file: str | None
    preserve_fds: int
    ignore_paused: bool
    detached: bool


def check(call: str, given: Mapping[str, object], known: type) -> None:
    """Refuse a keyword that a call does not have.

    Args:
        call: its name, for the message.
        given: the keywords of the caller.
        known: the class of this module that lists them.

    Raises:
        TypeError: as Python words it.
    """
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")


def members(given: Mapping[str, object], record: type) -> dict[str, Any]:
    """Those of the keywords that a dataclass has a member for."""
    return {name: value for name, value in given.items() if name in record.__annotations__}


def warn_by(given: CallKeywords) -> Warn:
    """The function to call with a warning."""
    return given.get("warn") or _warn


def _warn(text: str) -> None:
    # Attributed to the line that called the library, not to one within.
    warnings.warn(text, PyruncWarning, stacklevel=5)
