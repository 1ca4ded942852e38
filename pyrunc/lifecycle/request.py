# SPDX-License-Identifier: Apache-2.0
"""The request of `create`: what is not in the bundle."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.store import check_id


@dataclass
class Request:
    """What the caller of `create` wants besides the bundle.

    Args:
        root: the state root, absolute.
        container_id: the new container's id.
        bundle: absolute path of the bundle.
        config: path of the file to read instead of its config.json, or "".
        stdio: descriptors for 0, 1, 2.
        console_socket: connected socket that gets the terminal's master, or -1.
        preserve_fds: how many descriptors from 3 on the container keeps.
        environment: variables to add (LISTEN_FDS).
        keyring: join a session keyring.
        no_pivot: chroot(2) instead of pivot_root(2).
        cgroup_manager: "fs", "systemd" or "none".
        notify: give the program a socket for sd_notify(3).
        signals: those that end the creation, if they are caught.
    """

    root: str
    container_id: str
    bundle: str
    stdio: tuple[int, int, int] = (0, 1, 2)
    console_socket: int = -1
    preserve_fds: int = 0
    environment: tuple[str, ...] = ()
    keyring: bool = True
    no_pivot: bool = False
    cgroup_manager: str = "fs"
    notify: bool = False
    config: str = ""
    signals: Signals | None = None

    def __post_init__(self) -> None:
        check_id(self.container_id)
        self.config = os.path.abspath(self.config) if self.config else ""
