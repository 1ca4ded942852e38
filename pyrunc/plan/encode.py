# SPDX-License-Identifier: Apache-2.0
"""A list of steps as the bytes that pyrunc-init reads; pure."""

from __future__ import annotations

from _struct import Struct, pack

from pyrunc.plan import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.steps import Step

_HEADER = Struct("=IIQIIIIII")
_RECORD = Struct("=II")
_SLOT = Struct("=II")
_NUMBER = Struct("=Q")


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
    tail_at = wire.RECORD_BYTES + wire.SLOT_BYTES * len(step.FIELDS)
    slots: list[bytes] = []
    tail: list[bytes] = []
    size = tail_at
    pointers = 0
    for name, kind in step.FIELDS:
        value = fields[name]
        if kind in (wire.NUMBER, wire.REGISTER):
            slots.append(_NUMBER.pack(value & 0xFFFFFFFFFFFFFFFF))
            continue
        if value is None:
            slots.append(bytes(wire.SLOT_BYTES))
            continue
        data, length = _bytes_of(kind, value)
        if kind == wire.STRINGS:
            pointers += len(value) + 1
        slots.append(_SLOT.pack(size, length))
        tail.append(data)
        size += len(data)
    return pack("=II", step.OPCODE, size) + b"".join(slots) + b"".join(tail), pointers


def _bytes_of(kind: str, value: str | bytes | tuple[str, ...]) -> tuple[bytes, int]:
    """The bytes of a string, strings or blob, padded to 8, and their length without padding."""
    if isinstance(value, bytes):
        data = value
    elif kind in (wire.STRING, wire.OPTIONAL):
        assert isinstance(value, str)
        data = _string(value)
    else:
        data = b"".join([_string(item) for item in value])
    return data + bytes(-len(data) % 8), len(data)


def _string(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError(f"a NUL byte in {value!r}")
    return data + b"\0"
