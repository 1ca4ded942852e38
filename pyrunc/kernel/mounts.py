# SPDX-License-Identifier: Apache-2.0
"""Typed calls for detached mounts. Knows nothing of OCI."""

from __future__ import annotations

import os

from pyrunc.errors import KernelError
from pyrunc.kernel._core import lib


def open_tree(path: str, *, recursive: bool) -> int:
    """Clone a mount, or a tree of them, attached nowhere.

    Args:
        path: where it is on the host.
        recursive: with the mounts below it.

    Returns:
        Its descriptor, close-on-exec.

    Raises:
        KernelError: open_tree(2) failed.
    """
    fd: int = lib.pyrunc_open_tree(os.fsencode(path), recursive)
    if fd < 0:
        raise KernelError("open mount source", "open_tree", -fd, path)
    return fd


def map_ids(mount: int, user_namespace: int, *, recursive: bool, path: str) -> None:
    """Map the owners of a detached mount by a user namespace's maps (mount_setattr(2)).

    Args:
        mount: from `open_tree`.
        user_namespace: descriptor of the namespace.
        recursive: also of the mounts below it.
        path: for messages.

    Raises:
        KernelError: the filesystem has no id-mapped mounts (EINVAL), or no privilege for it.
    """
    result: int = lib.pyrunc_map_ids(mount, user_namespace, recursive)
    if result < 0:
        raise KernelError("map the ids of", "mount_setattr", -result, path)
