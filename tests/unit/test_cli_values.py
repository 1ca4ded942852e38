# SPDX-License-Identifier: Apache-2.0
"""Durations and sizes as Go's time.ParseDuration and units.RAMInBytes read them."""

from __future__ import annotations

import pytest

from pyrunc.cli.values import duration, size
from pyrunc.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("5s", 5), ("+5s", 5), ("-1.5s", -1.5), ("100ms", 0.1), ("1h30m", 5400),
        ("1h0.5m10s", 3640), (".5s", 0.5), ("1.s", 1), ("3us", 3e-6), ("3µs", 3e-6), ("7ns", 7e-9),
        ("", None), ("5", None), ("s", None), (".s", None), ("1x", None), ("1 s", None),
        ("1s1", None), ("--1s", None), ("1.2.3s", None), ("3000000h", None), ("-", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    found = duration(text)
    assert found == seconds if seconds is None else found == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-1", -1), ("0", 0), ("1234", 1234), ("1k", 1024), ("512m", 512 << 20), ("1g", 1 << 30),
        ("1G", 1 << 30), ("2T", 2 << 40), ("1p", 1 << 50), ("1.5g", 3 << 29), ("10 MB", 10 << 20),
        ("10MiB", 10 << 20), ("7b", 7), ("9" * 30, (1 << 63) - 1),
    ],
)  # fmt: skip
def test_sizes(text: str, number: int) -> None:
    assert size("memory", text) == number


@pytest.mark.parametrize("text", ["", "x", "-2", "1.2.3m", "5q", "1  k", "m", "1e3", "1kk", "0x10"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=f"invalid value for memory: invalid size: '{text}'"):
        size("memory", text)
