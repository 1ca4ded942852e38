# SPDX-License-Identifier: Apache-2.0
"""A list of steps as the bytes that pyrunc-init reads; pure."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from pyrunc.plan import wire
from pyrunc.plan.step import NUMBERS, Step
from pyrunc.plan.wire import BYTES, STRINGS

_HEADER = Struct("=" + "".join(letter for _, letter in wire.HEADER))
_MASK = 0xFFFFFFFFFFFFFFFF
_PADDING = [bytes(-length & 7) for length in range(8)]


def encode(steps: Sequence[Step], *, registers: int, first_fd: int, passed_fds: int) -> bytes:
    """The plan's bytes.

    Args:
        steps: in the order in which they are to run.
        registers: how many descriptor registers they use.
        first_fd: the lowest descriptor number that belongs to pyrunc-init; those below it
            (stdio and the preserved ones) belong to the container.
        passed_fds: how many registers, from 0 on, are open already: register i is
            descriptor first_fd + i. The rest start closed.

    Raises:
        ValueError: a string with a NUL inside, or a plan beyond the limits of `wire`.
    """
    strings = 0
    records = []
    for step in steps:
        record, pointers = _record(step)
        strings += pointers
        records.append(record)
    body = b"".join(records)
    total = wire.HEADER_BYTES + len(body)
    if total > wire.MAX_BYTES or len(steps) > wire.MAX_STEPS or registers > wire.MAX_REGISTERS:
        raise ValueError(f"a plan of {len(steps)} steps and {total} bytes is too large")
    header = _HEADER.pack(
        wire.MAGIC, wire.VERSION, total, len(steps), registers, first_fd, passed_fds, strings, 0
    )
    return header + body


def _record(step: Step) -> tuple[bytes, int]:
    fields = step.__dict__
    size = step.LAYOUT.size
    slots: list[int] = []
    tail = b""
    pointers = 0
    for name, kind in step.FIELDS:
        value = fields[name]
        if kind in NUMBERS:
            slots.append(value & _MASK)
            continue
        if value is None:
            slots += (0, 0)
            continue
        if kind == STRINGS:
            pointers += len(value) + 1
            data = "\0".join([*value, ""]).encode("utf-8", "surrogateescape")
            wrong = data.count(0) != len(value)
        elif kind == BYTES:
            data = value
            wrong = False
        else:
            data = value.encode("utf-8", "surrogateescape")
            wrong = 0 in data
            data += b"\0"
        if wrong:
            raise ValueError(f"a NUL byte in {value!r}")
        slots += (size, len(data))
        # The next one's bytes are aligned, as a C struct's are.
        data += _PADDING[len(data) & 7]
        tail += data
        size += len(data)
    return step.LAYOUT.pack(step.OPCODE, size, *slots) + tail, pointers
