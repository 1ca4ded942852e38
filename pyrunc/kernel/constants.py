# SPDX-License-Identifier: Apache-2.0
"""Numbers of the kernel's interface, as the C compiler read them from its headers."""

from __future__ import annotations

from pyrunc.kernel._core import lib as _lib

CLONE_NEWNS: int = _lib.CLONE_NEWNS
CLONE_NEWCGROUP: int = _lib.CLONE_NEWCGROUP
CLONE_NEWUTS: int = _lib.CLONE_NEWUTS
CLONE_NEWIPC: int = _lib.CLONE_NEWIPC
CLONE_NEWUSER: int = _lib.CLONE_NEWUSER
CLONE_NEWPID: int = _lib.CLONE_NEWPID
CLONE_NEWNET: int = _lib.CLONE_NEWNET
CLONE_NEWTIME: int = _lib.CLONE_NEWTIME

MOUNT_ATTR_RDONLY: int = _lib.MOUNT_ATTR_RDONLY
MOUNT_ATTR_NOSUID: int = _lib.MOUNT_ATTR_NOSUID
MOUNT_ATTR_NODEV: int = _lib.MOUNT_ATTR_NODEV
MOUNT_ATTR_NOEXEC: int = _lib.MOUNT_ATTR_NOEXEC
MOUNT_ATTR_ATIME: int = _lib.MOUNT_ATTR__ATIME
MOUNT_ATTR_RELATIME: int = _lib.MOUNT_ATTR_RELATIME
MOUNT_ATTR_NOATIME: int = _lib.MOUNT_ATTR_NOATIME
MOUNT_ATTR_STRICTATIME: int = _lib.MOUNT_ATTR_STRICTATIME
MOUNT_ATTR_NODIRATIME: int = _lib.MOUNT_ATTR_NODIRATIME
MOUNT_ATTR_NOSYMFOLLOW: int = _lib.MOUNT_ATTR_NOSYMFOLLOW

MS_RDONLY: int = _lib.MS_RDONLY
MS_SYNCHRONOUS: int = _lib.MS_SYNCHRONOUS
MS_MANDLOCK: int = _lib.MS_MANDLOCK
MS_DIRSYNC: int = _lib.MS_DIRSYNC
MS_LAZYTIME: int = _lib.MS_LAZYTIME
MS_UNBINDABLE: int = _lib.MS_UNBINDABLE
MS_PRIVATE: int = _lib.MS_PRIVATE
MS_SLAVE: int = _lib.MS_SLAVE
MS_SHARED: int = _lib.MS_SHARED

S_IFCHR: int = _lib.S_IFCHR
S_IFBLK: int = _lib.S_IFBLK
S_IFIFO: int = _lib.S_IFIFO

SIGINT: int = _lib.SIGINT
SIGQUIT: int = _lib.SIGQUIT
SIGKILL: int = _lib.SIGKILL
SIGTERM: int = _lib.SIGTERM


def rlimit(name: str) -> int:
    """The number of a resource limit, by its name in config.json ("RLIMIT_NOFILE")."""
    number: int = getattr(_lib, name)
    return number
