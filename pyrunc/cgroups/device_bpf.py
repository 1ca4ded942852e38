# SPDX-License-Identifier: Apache-2.0
"""The device policy as a BPF program, and its attachment to a v2 cgroup.

`program` is pure: a policy to bytes, tested by an interpreter against the policy itself.
`enforce` loads and attaches it and believes only what a query confirms.
"""

from __future__ import annotations

import functools
import struct

from pyrunc.cgroups.device_rules import ALL, ANY, Key, Policy
from pyrunc.errors import CgroupError, KernelError, PyruncError
from pyrunc.kernel import bpf, calls

POINTER = "/linux/resources/devices"

# Operation codes, as class | operation | operand kind (Documentation/bpf/standardization).
LOAD_WORD = 0x61  # dst = *(u32 *)(src + off)
AND = 0x54  # 32 bit, with a constant
SHIFT_RIGHT = 0x74  # 32 bit, by a constant
SET = 0xB7  # 64 bit, a constant
JUMP = 0x05
JUMP_NOT_EQUAL = 0x56  # 32 bit: the 64 bit form would extend the sign of a large number
JUMP_ANY_BIT = 0x46  # 32 bit
EXIT = 0x95

# struct bpf_cgroup_dev_ctx: access_type (the type below, the access above 16 bits), major,
# minor. The type and the bits of access have the values of device_rules.
TYPES = {"b": 1, "c": 2}
_RESULT, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5


def program(policy: Policy) -> bytes:
    """The program that enforces a policy.

    Args:
        policy: the policy.

    Returns:
        struct bpf_insn, one after the other, in this machine's byte order.
    """
    code = [
        _instruction(LOAD_WORD, _TYPE, _CONTEXT, 0),
        _instruction(LOAD_WORD, _ACCESS, _CONTEXT, 0),
        _instruction(LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _instruction(LOAD_WORD, _MINOR, _CONTEXT, 8),
        _instruction(AND, _TYPE, value=0xFFFF),
        _instruction(SHIFT_RIGHT, _ACCESS, value=16),
    ]
    for key, access in policy.exceptions.items():
        code.append(_exception(key, access, policy.default_allow))
    code += _return(policy.default_allow)
    return b"".join(code)


# Most containers' policies have mostly the same.
@functools.lru_cache(maxsize=64)
def _exception(key: Key, access: int, default_allow: bool) -> bytes:
    """Return the opposite of the default if everything matches, else continue after it."""
    kind, major, minor = key
    # Each test is (operation, register, value): where it holds, the exception does not match.
    tests = [(JUMP_NOT_EQUAL, _TYPE, TYPES[kind])]
    if major != ANY:
        tests.append((JUMP_NOT_EQUAL, _MAJOR, major))
    if minor != ANY:
        tests.append((JUMP_NOT_EQUAL, _MINOR, minor))
    body = _return(not default_allow)
    if default_allow:
        # Denied if any way asked for is denied: step over the jump that leaves.
        gate = [
            _instruction(JUMP_ANY_BIT, _ACCESS, value=access, offset=1),
            _instruction(JUMP, offset=len(body)),
        ]
    else:
        # Allowed if no way asked for is missing.
        missing = ALL & ~access
        gate = [_instruction(JUMP_ANY_BIT, _ACCESS, value=missing, offset=len(body))]
        gate = gate if missing else []
    body = gate + body
    left = len(tests) + len(body)
    code = []
    for operation, register, value in tests:
        left -= 1
        code.append(_instruction(operation, register, value=value, offset=left))
    return b"".join(code + body)


def _return(allow: bool) -> list[bytes]:
    return [_instruction(SET, _RESULT, value=int(allow)), _instruction(EXIT)]


def _instruction(
    operation: int, target: int = 0, source: int = 0, offset: int = 0, *, value: int = 0
) -> bytes:
    # Four bits each; pyrunc supports little-endian machines only.
    registers = source << 4 | target
    return struct.pack("=BBhI", operation, registers, offset, value & 0xFFFFFFFF)


def enforce(directory: int, path: str, policy: Policy, fresh: bool) -> None:
    """Make a v2 cgroup enforce a policy, and see that it does.

    Args:
        directory: descriptor of the cgroup.
        path: its path, for messages.
        policy: the policy.
        fresh: the cgroup was made just now: no program can be attached to it.

    Raises:
        CgroupError: bpf(2) refuses.
        PyruncError: the program is not attached afterwards.
    """
    if policy.allows_all and fresh:
        # No program allows everything too. Ancestors' programs hold either way.
        return
    try:
        old = () if fresh else calls.bpf_attached(directory)
        new = 0
        if not policy.allows_all:
            new = bpf.replace_device_program(directory, program(policy), old)
        else:
            bpf.detach(directory, old)
        now = calls.bpf_attached(directory)
    except KernelError as error:
        raise CgroupError("filter devices of", "bpf", error.errno, path, pointer=POINTER) from error
    if now != ((new,) if new else ()):
        raise PyruncError(
            f"the device program of {path} is not the one that was attached", pointer=POINTER
        )
