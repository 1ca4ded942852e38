# SPDX-License-Identifier: Apache-2.0
"""How a container's program ended, as the library reports it."""

from __future__ import annotations

from signal import SIGKILL
from typing import Any


class Exit:
    """How a container's program ended.

    Attributes:
        code: its exit status, or 128 + signal as in a shell; None if unknown, because the
            process was not a child of this one.
        signal: the signal that killed it, or 0.
        oom_killed: whether the OOM killer killed a process of the container.
        timed_out: whether it was killed on a timeout.
    """

    __slots__ = ("code", "oom_killed", "signal", "timed_out")

    def __init__(
        self,
        code: int | None,
        signal: int = 0,
        oom_killed: bool = False,
        timed_out: bool = False,
    ) -> None:
        self.code = code
        self.signal = signal
        self.oom_killed = oom_killed
        self.timed_out = timed_out

    @property
    def reason(self) -> str:
        """In one word: "timeout", "oom", "signaled", "exited"; "unknown" where no code is known."""
        if self.timed_out:
            return "timeout"
        if self.signal:
            return "oom" if self.oom_killed and self.signal == SIGKILL else "signaled"
        return "unknown" if self.code is None else "exited"

    def __repr__(self) -> str:
        return f"Exit(code={self.code}, signal={self.signal}, reason={self.reason!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Exit):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.code, self.signal, self.oom_killed, self.timed_out))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for the state directory."""
        return {name: getattr(self, name) for name in self.__slots__}
