# SPDX-License-Identifier: Apache-2.0
"""A list of steps as the bytes that pyrunc-init reads; pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from struct import Struct, error
from typing import Any

from pyrunc.plan import wire
from pyrunc.plan.step import Step

_HEADER = Struct("=" + "".join(letter for _, letter in wire.HEADER))
# Where a slot of a string, as one number of 64 bits, has its two of 32.
_OFFSET, _LENGTH = (0, 32) if sys.byteorder == "little" else (32, 0)
_MASK = 0xFFFFFFFFFFFFFFFF


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
    records: list[bytes] = []
    for step in steps:
        slots = step.SLOTS(step)
        tail: list[bytes] = []
        if step.TEXTS:
            slots, tail, pointers = _with_texts(step.TEXTS, list(slots))
            strings += pointers
        try:
            records.append(step.LAYOUT.pack(*slots))
        except error:  # one of them is negative
            records.append(step.LAYOUT.pack(*[slot & _MASK for slot in slots]))
        records += tail
    body = b"".join(records)
    total = wire.HEADER_BYTES + len(body)
    if total > wire.MAX_BYTES or len(steps) > wire.MAX_STEPS or registers > wire.MAX_REGISTERS:
        raise ValueError(f"a plan of {len(steps)} steps and {total} bytes is too large")
    header = _HEADER.pack(
        wire.MAGIC, wire.VERSION, total, len(steps), registers, first_fd, passed_fds, strings, 0
    )
    return header + body


def _with_texts(indexes: Sequence[int], slots: list[Any]) -> tuple[list[Any], list[bytes], int]:
    """The slots with those of texts filled in, the texts' bytes, and how many pointers the lists
    of strings need."""
    size = slots[1]
    tail = []
    pointers = 0
    for index in indexes:
        value = slots[index]
        if type(value) is str:
            data = value.encode("utf-8", "surrogateescape") + b"\0"
            wrong = "\0" in value
        elif value is None:
            slots[index] = 0
            continue
        elif type(value) is bytes:
            data, wrong = value, False
        else:
            pointers += len(value) + 1
            data = "\0".join([*value, ""]).encode("utf-8", "surrogateescape")
            wrong = data.count(0) != len(value)
        if wrong:
            raise ValueError(f"a NUL byte in {value!r}")
        length = len(data)
        slots[index] = size << _OFFSET | length << _LENGTH
        # The next one's bytes are aligned, as a C struct's are.
        length += -length & 7
        tail.append(data.ljust(length, b"\0"))
        size += length
    slots[1] = size
    return slots, tail, pointers
