# SPDX-License-Identifier: Apache-2.0
"""Answers ENOSYS to system calls that are newer than a seccomp profile. Pure.

A profile that denies what it does not name says EPERM to calls that were invented after it was
written, and programs then fail where they would have fallen back on an older call (clone3,
faccessat2, ...). So in front of the filter stands a test: above the highest number that the
profile names there is nothing that it can have meant to deny, and ENOSYS is as safe as EPERM.
"""

from __future__ import annotations

from struct import pack

# struct sock_filter; Documentation/userspace-api/seccomp_filter.rst, <linux/bpf_common.h>.
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER = 0x25
_JUMP_AT_LEAST = 0x35
_RETURN = 0x06
# Offsets in struct seccomp_data.
_NUMBER, _ARCH = 0, 4
_ERRNO_ENOSYS = 0x00050000 | 38
X86_64 = 0xC000003E
# Calls of x32 come with the architecture of x86-64 and this bit in their number.
X32_BIT = 0x40000000


def in_front(program: bytes, last: dict[int, int], last_x32: int | None = None) -> bytes:
    """A filter with the test in front of it.

    Args:
        program: of struct sock_filter.
        last: for each AUDIT_ARCH_* the highest number that the profile names. Calls of other
            architectures go to the filter.
        last_x32: the highest one of x32, with its bit; None leaves x32 to the filter.

    Returns:
        The longer program.
    """
    code: list[bytes] = []
    for arch, highest in last.items():
        block = _block(highest, last_x32 if arch == X86_64 else None, arch == X86_64)
        code += [_op(_LOAD_WORD, _ARCH), _op(_JUMP_EQUAL, arch, no=len(block)), *block]
    return b"".join(code) + program


def _block(highest: int, last_x32: int | None, splits: bool) -> list[bytes]:
    """For one architecture: return ENOSYS, or fall out at the end."""
    tests = [_op(_LOAD_WORD, _NUMBER)]
    if splits:
        # The calls of x32 have a range of their own.
        other = (
            [_op(_JUMP_GREATER, last_x32, no=1), _op(_RETURN, _ERRNO_ENOSYS)]
            if last_x32 is not None
            else []
        )
        own = [_op(_JUMP_GREATER, highest, no=1), _op(_RETURN, _ERRNO_ENOSYS)]
        # Own numbers step over what is for the others, and those over what is for the own.
        return [
            *tests,
            _op(_JUMP_AT_LEAST, X32_BIT, no=len(other) + 1),
            *other,
            _op(0x05, len(own)),
            *own,
        ]
    return [*tests, _op(_JUMP_GREATER, highest, no=1), _op(_RETURN, _ERRNO_ENOSYS)]


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return pack("=HBBI", code, yes, no, value)
