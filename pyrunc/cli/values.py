# SPDX-License-Identifier: Apache-2.0
"""Option values with units: durations and sizes, as Go programs take them."""

from __future__ import annotations

from pyrunc.errors import UsageError

_NANOSECOND, _MICROSECOND, _MILLISECOND = 1e-9, 1e-6, 1e-3
_SECONDS = {
    "ns": _NANOSECOND, "us": _MICROSECOND, "µs": _MICROSECOND, "μs": _MICROSECOND,
    "ms": _MILLISECOND, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip
# Go stores a duration as 64 bits of nanoseconds.
_LONGEST = (1 << 63) * _NANOSECOND
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_DIGITS = frozenset("0123456789")
_MOST_BYTES = (1 << 63) - 1


def duration(text: str) -> float | None:
    """Seconds in a text like "1h30m", "1.5s" or "-100ms"; None if it is invalid."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    total = 0.0
    if not rest:
        return None
    while rest:
        number, rest = _leading(rest, _DIGITS | {"."})
        end = next((i for i, c in enumerate(rest) if c in _DIGITS or c == "."), len(rest))
        unit, rest = rest[:end], rest[end:]
        if unit not in _SECONDS or not _is_decimal(number):
            return None
        total += float(number) * _SECONDS[unit]
    if total >= _LONGEST:
        return None
    return -total if text[0] == "-" else total


def size(option: str, text: str) -> int:
    """Bytes in a text like "512m", "1.5 GiB" or "-1"; the units are powers of 1024.

    Args:
        option: for the message.
        text: its value.

    Raises:
        UsageError: it is not a size.
    """
    if text == "-1":
        return -1
    number, rest = _leading(text, _DIGITS | {"."})
    unit = rest.removeprefix(" ").lower()
    if unit.endswith("ib") and unit != "ib":
        unit = unit[:-2]
    elif unit.endswith("b"):
        unit = unit[:-1]
    if not _is_decimal(number) or unit not in _SHIFTS:
        raise UsageError(
            f"invalid value for {option}: invalid size: '{text}'",
            hint="a number of bytes, or with a unit, as in 512m or 1.5g; -1 is no limit",
        )
    factor = 1 << _SHIFTS[unit]
    found = int(float(number) * factor) if "." in number else int(number) * factor
    return min(found, _MOST_BYTES)


def _leading(text: str, letters: frozenset[str]) -> tuple[str, str]:
    end = next((i for i, c in enumerate(text) if c not in letters), len(text))
    return text[:end], text[end:]


def _is_decimal(text: str) -> bool:
    return text.count(".") <= 1 and _DIGITS.isdisjoint(text) is False
