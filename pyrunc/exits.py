# SPDX-License-Identifier: Apache-2.0
"""How a container's program ended, as the library tells it."""

from __future__ import annotations


class Exit:
    """How a container's program ended.

    Attributes:
        code: its exit status, or 128 + signal as a shell tells it; None if unknown, because
            the process was not a child of this one.
        signal: the signal that killed it, or 0.
        oom_killed: whether the kernel killed a process of the container for want of memory.
    """

    __slots__ = ("code", "oom_killed", "signal")

    def __init__(self, code: int | None, signal: int = 0, oom_killed: bool = False) -> None:
        self.code = code
        self.signal = signal
        self.oom_killed = oom_killed

    def __repr__(self) -> str:
        return f"Exit(code={self.code}, signal={self.signal}, oom_killed={self.oom_killed})"
