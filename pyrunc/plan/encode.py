# SPDX-License-Identifier: Apache-2.0
"""A list of steps as the bytes that pyrunc-init reads; pure."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from struct import Struct, error, pack

from pyrunc.plan import wire
from pyrunc.plan.step import Step

_HEADER = Struct("=" + "".join(letter for _, letter in wire.HEADER))
_MASK = 0xFFFFFFFFFFFFFFFF
_SIZE = attrgetter("SIZE")


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
    records = sum(map(_SIZE, steps))
    texts = _Texts(records)
    numbers: list[int] = []
    for step in steps:
        slots = step.SLOTS(step)
        if step.TEXTS:
            slots = [*slots]
            for index in step.TEXTS:
                slots[index] = texts.add(slots[index])
        numbers += slots
        texts.distance -= step.SIZE
    total = wire.HEADER_BYTES + records + texts.distance
    if total > wire.MAX_BYTES or len(steps) > wire.MAX_STEPS or registers > wire.MAX_REGISTERS:
        raise ValueError(f"a plan of {len(steps)} steps and {total} bytes is too large")
    header = _HEADER.pack(
        wire.MAGIC, wire.VERSION, total, len(steps), registers, first_fd, passed_fds,
        texts.strings, texts.distance,
    )  # fmt: skip
    return header + _packed(numbers) + texts.data()


def _packed(numbers: list[int]) -> bytes:
    layout = f"={len(numbers)}Q"
    try:
        return pack(layout, *numbers)
    except error:  # one of them is negative
        return pack(layout, *[number & _MASK for number in numbers])


class _Texts:
    """What lies behind the records, as characters of one byte; each has a NUL behind it.

    Args:
        distance: from the start of the record at hand to the next text.
    """

    __slots__ = ("distance", "parts", "strings")

    def __init__(self, distance: int) -> None:
        self.distance = distance
        self.parts: list[str] = []
        # How many pointers the lists of strings need.
        self.strings = 0

    def add(self, value: str | bytes | Sequence[str] | None) -> int:
        """The slot of a text that is added: its span (wire.py) as one number of 64 bits."""
        if value is None:
            return 0
        if isinstance(value, str):
            text, nuls = value, 0
        elif isinstance(value, bytes):
            return self._add_bytes(value)
        else:
            self.strings += len(value) + 1
            if not value:
                return self.distance  # and no length
            text, nuls = "\0".join(value), len(value) - 1
        if text.count("\0") != nuls:
            raise ValueError(f"a NUL byte in {value!r}")
        if not text.isascii():
            text = text.encode("utf-8", "surrogateescape").decode("latin-1")
        place, length = self.distance, len(text) + 1
        self.parts.append(text)
        self.distance += length
        return place | length << 32

    def _add_bytes(self, value: bytes) -> int:
        if gap := -self.distance & 7:
            self.parts.append("\0" * (gap - 1))
        place = self.distance + gap
        self.parts.append(value.decode("latin-1"))
        self.distance = place + len(value) + 1
        return place | len(value) << 32

    def data(self) -> bytes:
        return "\0".join([*self.parts, ""]).encode("latin-1")
