# SPDX-License-Identifier: Apache-2.0
"""What is asked of `create`, beside the bundle's own words."""

from __future__ import annotations

import os

from pyrunc.lifecycle.store import check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.lifecycle.signals import Signals


class Request:
    """What the caller of `create` wants beside the bundle.

    Args:
        root: the state root, absolute.
        container_id: the new container's id.
        bundle: absolute path of the bundle.
        config: path of the file that is read instead of its config.json, or "".
        stdio: descriptors for 0, 1, 2.
        console_socket: connected socket that gets the terminal's master, or -1.
        preserve_fds: how many descriptors from 3 on the container keeps.
        environment: variables to add (LISTEN_FDS).
        keyring: join a session keyring.
        no_pivot: chroot(2) in the place of pivot_root(2).
        cgroup_manager: "fs", "systemd" or "none".
        notify: give the program a socket for sd_notify(3).
        signals: those that end the creation, if anybody catches them.
    """

    __slots__ = (
        "bundle", "cgroup_manager", "config", "console_socket", "container_id", "environment",
        "keyring", "no_pivot", "notify", "preserve_fds", "root", "signals", "stdio",
    )  # fmt: skip

    def __init__(
        self,
        *,
        root: str,
        container_id: str,
        bundle: str,
        stdio: tuple[int, int, int] = (0, 1, 2),
        console_socket: int = -1,
        preserve_fds: int = 0,
        environment: tuple[str, ...] = (),
        keyring: bool = True,
        no_pivot: bool = False,
        cgroup_manager: str = "fs",
        notify: bool = False,
        config: str = "",
        signals: Signals | None = None,
    ) -> None:
        self.root = root
        self.container_id = check_id(container_id)
        self.bundle = bundle
        self.stdio = stdio
        self.console_socket = console_socket
        self.preserve_fds = preserve_fds
        self.environment = environment
        self.keyring = keyring
        self.no_pivot = no_pivot
        self.cgroup_manager = cgroup_manager
        self.notify = notify
        self.signals = signals
        self.config = os.path.abspath(config) if config else ""
