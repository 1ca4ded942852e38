# SPDX-License-Identifier: Apache-2.0
"""The test in front of a seccomp filter, run by an interpreter of classic BPF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.kernel.seccomp_stub import X32_BIT, X86_64, in_front

I386, AARCH64 = 0x40000003, 0xC00000B7
ENOSYS, FILTER = 0x00050000 | 38, 0x7FFF0000
PROGRAM = struct.pack("=HBBI", 0x06, 0, 0, FILTER)


def run(program: bytes, arch: int, number: int) -> int:
    """What seccomp(2) would return for a call."""
    code = list(struct.iter_unpack("=HBBI", program))
    at, accumulator = 0, 0
    while True:
        op, yes, no, value = code[at]
        at += 1
        if op == 0x06:
            return value
        if op == 0x20:
            accumulator = {0: number, 4: arch}[value]
        elif op == 0x05:
            at += value
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value,
                     0x35: accumulator >= value}[op]  # fmt: skip
            at += yes if holds else no


@pytest.mark.parametrize(
    ("arch", "number", "result"),
    [
        (X86_64, 450, FILTER),
        (X86_64, 451, ENOSYS),
        (X86_64, X32_BIT - 1, ENOSYS),
        (X86_64, X32_BIT + 500, FILTER),
        (X86_64, X32_BIT + 501, ENOSYS),
        (X86_64, 0xFFFFFFFF, ENOSYS),
        (I386, 384, FILTER),
        (I386, 385, ENOSYS),
        (AARCH64, 9999, FILTER),
    ],
)
def test_what_is_newer_than_the_profile(arch: int, number: int, result: int) -> None:
    program = in_front(PROGRAM, {X86_64: 450, I386: 384}, X32_BIT + 500)
    assert run(program, arch, number) == result


def test_without_x32_its_calls_are_the_filters() -> None:
    program = in_front(PROGRAM, {X86_64: 450})
    assert run(program, X86_64, X32_BIT + 9999) == FILTER
    assert run(program, X86_64, 451) == ENOSYS


@given(
    st.dictionaries(st.sampled_from([X86_64, I386, AARCH64]), st.integers(0, 600)),
    st.sampled_from([X86_64, I386, AARCH64, 5]),
    st.integers(0, X32_BIT - 1),
)
def test_every_call(last: dict[int, int], arch: int, number: int) -> None:
    expected = ENOSYS if number > last.get(arch, number) else FILTER
    assert run(in_front(PROGRAM, last), arch, number) == expected
