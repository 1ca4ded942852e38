# SPDX-License-Identifier: Apache-2.0
"""Which state roots are trusted: their content tells root what to kill and which hooks to run, so
no other user may have written it."""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import KernelError, PyruncError, reported
from pyrunc.kernel.descriptor import Descriptor, opened

# For an unprivileged user.
NO_PLACE = "set XDG_RUNTIME_DIR, or give --root a place of your own"
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def open_root(root: str) -> Descriptor:
    """The state root, checked, open to look things up by.

    Args:
        root: absolute path.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: it is not a directory.
        KernelError: it cannot be opened.
        PyruncError: other users can write to it.
    """
    try:
        directory = opened(root, os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        hint = "" if os.geteuid() == 0 else NO_PLACE
        raise KernelError(
            "open the state root", "open", error.errno or 0, root, hint=hint
        ) from None
    fd = directory.fileno()
    # As in /tmp: other users can add entries, but not replace ours.
    sticky = os.fstat(fd).st_mode & stat.S_ISVTX
    refuse_shared(fd, root, allowed=_OTHERS if sticky else 0)
    return directory


def refuse_shared(fd: int, path: str, allowed: int = 0) -> None:
    """Refuse a directory that others than this user and root can change.

    Args:
        fd: of the directory.
        path: for messages.
        allowed: mode bits to accept.

    Raises:
        PyruncError: another user owns it or may write to it.
    """
    found = os.fstat(fd)
    if found.st_uid not in (0, os.geteuid()):
        raise PyruncError(
            f"{path} belongs to uid {found.st_uid}, who could have forged its content",
            hint="use a state root of your own",
        )
    if found.st_mode & _OTHERS & ~allowed:
        raise PyruncError(
            f"{path} can be written to by others (mode {stat.S_IMODE(found.st_mode):04o})",
            hint="chmod go-w, if its content can be trusted",
        )


def opened_or_made(root: str) -> Descriptor:
    """As `open_root`, but the root is made if there is none."""
    try:
        return open_root(root)
    except FileNotFoundError:
        make_root(root)
    except NotADirectoryError:
        raise KernelError("use the state root", "", errno.ENOTDIR, root) from None
    with reported("open the state root", "open", root):
        return open_root(root)


def make_root(root: str) -> None:
    """Make the state root, closed to others.

    Raises:
        KernelError: it cannot be made.
    """
    hint = "" if os.geteuid() == 0 else NO_PLACE
    with reported("make the state root", "mkdir", root, hint=hint):
        os.makedirs(root, 0o700, exist_ok=True)
