# SPDX-License-Identifier: Apache-2.0
"""Who closes a descriptor is seen in its type: a `Descriptor` owns its number, an int is lent."""

from __future__ import annotations

import os
from typing import Self


class Descriptor:
    """A file descriptor that this object, and nothing else, closes: by `close`, at the end of a
    `with` block, and at the latest when the object goes.

    Args:
        fd: its number; -1 for none.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int = -1) -> None:
        self._fd = fd

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def fileno(self) -> int:
        """Its number, lent; -1 when it is closed or given away."""
        return self._fd

    def take(self) -> int:
        """Its number, the caller's to close from now on."""
        fd, self._fd = self._fd, -1
        return fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._fd >= 0:
            try:
                self.close()
            except OSError:
                pass  # closed elsewhere; there is no caller to report to


def opened(
    path: str, flags: int = os.O_RDONLY, mode: int = 0o777, *, dir_fd: int | None = None
) -> Descriptor:
    """Open a file close-on-exec.

    Raises:
        OSError: of open(2).
    """
    return Descriptor(os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd))
