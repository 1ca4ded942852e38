# SPDX-License-Identifier: Apache-2.0
"""What pyrunc-init reports: one message, checked, and which ones a plan has."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from pyrunc.errors import PyruncError
from pyrunc.plan import wire
from pyrunc.plan.plan import Plan
from pyrunc.plan.step import Step
from pyrunc.plan.steps import Fork, Seccomp, SendDirectory, Sync

MESSAGE = Struct("=" + "".join(letter for _, letter in wire.MESSAGE))


class Report:
    """One message of pyrunc-init, decoded and range-checked (it is not trusted)."""

    __slots__ = ("call", "errno", "kind", "reason", "step", "text", "value")

    def __init__(
        self, fields: tuple[int, int, int, int, int, int], step_count: int, text: bytes = b""
    ) -> None:
        kind, step, call, error, reason, value = fields
        if kind >= len(wire.MESSAGES) or call >= len(wire.CALLS) or reason >= len(wire.REASONS):
            raise PyruncError("pyrunc-init sent an unknown message")
        if step >= max(step_count, 1):
            raise PyruncError("pyrunc-init named a step that does not exist")
        self.kind = wire.MESSAGES[kind]
        self.step = step
        self.call = wire.CALLS[call]
        self.errno = error
        self.reason = wire.REASONS[reason]
        self.value = value
        self.text = text.decode(errors="replace")


def messages(plan: Plan) -> list[str]:
    """The messages that it sends on success, in order."""
    return [word for step in plan.steps if type(step) in _SENT for word in _SENT[type(step)](step)]


_SENT: dict[type[Step], Callable[[Any], tuple[str, ...]]] = {
    Sync: lambda step: (wire.MESSAGES[step.message],),
    Fork: lambda step: ("forked",),
    SendDirectory: lambda step: ("directory",),
    Seccomp: lambda step: ("listener",) if step.listener else (),
}
