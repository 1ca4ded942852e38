# SPDX-License-Identifier: Apache-2.0
"""What a further process of a container is to be: which object describes it, and what the
container adds."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass

from pyrunc import jsontext
from pyrunc.errors import UsageError, reported
from pyrunc.kernel.descriptor import opened
from pyrunc.lifecycle.bundle import CONFIG, read_config
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.store import Entry
from pyrunc.spec import load
from pyrunc.spec.check_process import check_process
from pyrunc.spec.fields import decode_object
from pyrunc.spec.model import Capabilities, Process, Spec

# What a process inherits from the container's own where it does not set it.
_INHERITED = (
    "capabilities", "apparmorProfile", "selinuxLabel", "oomScoreAdj", "rlimits", "scheduler",
    "ioPriority", "execCPUAffinity",
)  # fmt: skip


@dataclass
class ExecOptions:
    """How a process differs from the container's own.

    Args:
        args: the program and its arguments.
        env: ``NAME=value``, or a dict of names and values; added.
        cwd: its directory.
        uid: the user it runs as, with `gid`.
        groups: additional groups, added.
        capabilities: names, added to bounding, effective and permitted; and to ambient where
            the container's process has inheritable ones.
        no_new_privileges: set it.
        selinux_label: instead of the container's.
        apparmor_profile: instead of the container's.
        terminal: give it one.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] | dict[str, str] = ()
    cwd: str | None = None
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    selinux_label: str | None = None
    apparmor_profile: str | None = None
    terminal: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.env, dict):  # as subprocess takes it
            self.env = tuple(f"{name}={value}" for name, value in self.env.items())


def of_container(entry: Entry) -> Spec:
    """The container's configuration, as checked when it was created."""
    data = entry.config()
    spec = load.decode(jsontext.loads(data, "config.json", []))
    spec.source = data
    return spec


def read_process(path: str, warnings: list[str], signals: Signals | None = None) -> Process:
    """A process object from a file, which may be a pipe.

    Args:
        path: of the file.
        warnings: collects what is odd but not wrong.
        signals: those that end the wait for a writer, if they are caught.

    Raises:
        Interrupted: a signal asks this process to end.
        KernelError: it cannot be read.
        SpecError: it is wrong.
    """
    with reported("open", "", path), opened(path, os.O_RDONLY | os.O_NONBLOCK) as file:
        data = _read_all(file.fileno(), signals)
    return load.decode_process(jsontext.loads(data, path, warnings), path, warnings)


def _read_all(fd: int, signals: Signals | None) -> bytes:
    data = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if signals:
        poll.register(signals, select.POLLIN)
    while len(data) <= jsontext.MAX_BYTES:
        ready = dict(poll.poll())
        if signals and signals.fileno() in ready:
            signals.check()
        if fd in ready:
            chunk = os.read(fd, jsontext.MAX_BYTES)
            if not chunk:
                break
            data += chunk
    return data


def changed(state: State, spec: Spec, changes: ExecOptions, warnings: list[str]) -> Process:
    """The process of the bundle's current config.json, with changes.

    Args:
        state: of the container.
        spec: from `of_container`.
        changes: how it differs.
        warnings: collects what is odd but not wrong.

    Raises:
        PyruncError: config.json is gone.
        SpecError: it is wrong, or the changes are.
    """
    process = _own(state, spec)
    if not changes.args:
        raise UsageError("exec args cannot be empty")
    process.args = changes.args
    process.terminal = changes.terminal
    process.env = (*process.env, *changes.env)
    process.cwd = changes.cwd or process.cwd
    if changes.uid is not None:
        process.user.uid = changes.uid
        process.user.gid = changes.gid if changes.gid is not None else process.user.gid
    process.user.additionalGids = (*process.user.additionalGids, *changes.groups)
    process.noNewPrivileges = process.noNewPrivileges or changes.no_new_privileges
    process.selinuxLabel = changes.selinux_label or process.selinuxLabel
    process.apparmorProfile = changes.apparmor_profile or process.apparmorProfile
    if changes.capabilities:
        process.capabilities = _more(process.capabilities, changes.capabilities)
    load.with_document("exec", check_process, process, "", warnings)
    return process


def _own(state: State, spec: Spec) -> Process:
    """The process of the current config.json."""
    config = state.config
    data = read_config(state.bundle, config)
    if data != spec.source:
        current = load.parse(data, config or CONFIG).process
        assert current is not None
        return current
    # Unchanged since it was checked: once is enough.
    return decode_object(Process, spec.raw["process"])


def _more(sets: Capabilities | None, names: tuple[str, ...]) -> Capabilities:
    """Add capabilities: never inheritable ones (CVE-2022-29162), ambient only with those."""
    found = sets or Capabilities()
    for name in ("bounding", "effective", "permitted", "ambient"):
        if name != "ambient" or found.inheritable:
            setattr(found, name, (*getattr(found, name), *names))
    return found


def complete(process: Process, spec: Spec) -> None:
    """Fill in what a process does not set from the container's own."""
    base = spec.process
    assert base is not None
    for name in _INHERITED:
        if getattr(process, name) in (None, ()):
            setattr(process, name, getattr(base, name))
    if process.user.umask is None:
        process.user.umask = base.user.umask


def parse_user(text: str) -> tuple[int, int | None]:
    """``UID[:GID]`` in numbers: names come from the image, which is not trusted (CVE-2016-3697).

    Raises:
        UsageError: it is anything else.
    """
    uid, colon, gid = text.partition(":")
    return _id(uid, "uid"), _id(gid, "gid") if colon else None


def _id(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 2**32 - 1:
        return int(text)
    raise UsageError(f'parsing "{text}" as a {what} failed: not a number below 4294967295')
