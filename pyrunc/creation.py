# SPDX-License-Identifier: Apache-2.0
"""Makes a container for the library's `create`, `run` and `restore`: the caller's keywords become
a request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Unpack, cast

from pyrunc import keywords
from pyrunc.errors import one_line
from pyrunc.kernel.pidfd import PidFd
from pyrunc.keywords import CreateKeywords, PlanKeywords
from pyrunc.lifecycle import caller_io, create, preview, store
from pyrunc.lifecycle.bundle import read_spec
from pyrunc.lifecycle.request import Request
from pyrunc.plan.plan import Plan
from pyrunc.spec.model import Spec

How = Callable[[Request, Spec], tuple[int, PidFd]]


@dataclass
class Made:
    """A container that is there.

    Attributes:
        root: the directory where its state is.
        id: its id.
        pid: of its init.
        pidfd: of its init.
        has_terminal: whether its program has one.
        warnings: what was odd in config.json.
    """

    root: str
    id: str
    pid: int
    pidfd: PidFd
    has_terminal: bool
    warnings: list[str]


def make(
    bundle: str,
    container_id: str,
    given: CreateKeywords,
    how: How = create.create,
    *,
    foreground: bool = False,
) -> Made:
    """Make a container.

    Args:
        bundle: directory of config.json.
        container_id: letters, digits, ``_ + . -``.
        given: of the caller; checked.
        how: makes it from the request and the configuration.
        foreground: the caller serves its terminal; otherwise that goes to a console socket.

    Raises:
        PyruncError: nothing is left of the container.
    """
    caller_io.check_preserved(given.get("preserve_fds", 0))
    request = _request(bundle, container_id, given)
    spec = read_spec(request.bundle, given.get("limits"), request.config)
    terminal = bool(spec.process and spec.process.terminal)
    console = given.get("console_socket")
    caller_io.check_terminal(terminal, console is not None, not foreground)
    with ExitStack() as held:
        if isinstance(console, str):
            connection = held.enter_context(caller_io.connected(console, "console"))
            request.console_socket = connection.fileno()
        elif console is not None:
            request.console_socket = console
        pid, pidfd = how(request, spec)
    warnings = [one_line(text) for text in spec.warnings]
    return Made(request.root, request.container_id, pid, pidfd, terminal, warnings)


def plan(bundle: str, **given: Unpack[PlanKeywords]) -> Plan:
    """What creating a container would do on this host, step by step; nothing is touched.

    `str()` of it is for people, `Plan.to_json` for programs, `Plan.diff` what changes to another.

    Args:
        bundle: directory of config.json.
        given: see `pyrunc.keywords.PlanKeywords`.

    Raises:
        SpecError: config.json is wrong, or asks for what is not supported.
        PyruncError: this host cannot be asked for it.
    """
    keywords.check("plan", given, PlanKeywords)
    # Some of the keywords of `create`, all of which may be left out.
    request = _request(bundle, "ID", cast(CreateKeywords, given))
    return preview.preview(request, read_spec(request.bundle, given.get("limits"), request.config))


def _request(bundle: str, container_id: str, given: CreateKeywords) -> Request:
    return Request(
        root=store.state_root(given.get("root")),
        container_id=container_id,
        bundle=caller_io.bundle_directory(bundle),
        config=given.get("config", ""),
        stdio=given.get("stdio", (0, 1, 2)),
        preserve_fds=given.get("preserve_fds", 0),
        environment=given.get("environment", ()),
        keyring=given.get("new_keyring", True),
        no_pivot=given.get("no_pivot", False),
        notify=given.get("notify", False),
        cgroup_manager=_manager(given),
        signals=given.get("signals"),
    )


def _manager(given: CreateKeywords) -> str:
    if given.get("systemd_cgroup"):
        return "systemd"
    return "none" if given.get("no_cgroup") else "fs"
