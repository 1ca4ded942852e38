# SPDX-License-Identifier: Apache-2.0
"""The user namespace that this process is in."""

from __future__ import annotations

import os

from pyrunc.errors import KernelError
from pyrunc.kernel.descriptor import opened


def in_user_namespace() -> bool:
    """Whether this process is in another user namespace than the host's first one."""
    return _own("uid_map").split() not in ([], ["0", "0", "4294967295"])


def may_set_groups() -> bool:
    """Whether setgroups(2) is allowed in it (user_namespaces(7))."""
    return _own("setgroups") != "deny\n"


def _own(name: str) -> str:
    """A file of this process in /proc; "" where the kernel knows no user namespaces."""
    path = f"/proc/self/{name}"
    try:
        with opened(path) as file:
            return os.read(file.fileno(), 4096).decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise KernelError("read", "", error.errno or 0, path) from None
