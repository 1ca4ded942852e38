# SPDX-License-Identifier: Apache-2.0
"""The device policy, the BPF program made from it, and the writes that v1 needs for it.

The program is run by an interpreter of the few instructions it may hold; what it decides must
be what the policy decides, for every device and every access.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups import device_bpf, device_rules, devices
from pyrunc.cgroups.device_rules import ALL, ANY, MKNOD, READ, WRITE, Policy
from pyrunc.errors import PyruncError, SpecError

LAST = (1 << 32) - 1


class Rule:
    """A rule as linux.resources.devices has it."""

    def __init__(self, allow, type=None, major=None, minor=None, access="rwm"):  # type: ignore[no-untyped-def]
        self.allow, self.type, self.major, self.minor, self.access = (
            allow,
            type,
            major,
            minor,
            access,
        )


def build(*rules: Rule) -> Policy:
    return device_rules.build(rules)  # type: ignore[arg-type]


def run(code: bytes, kind: str, major: int, minor: int, access: int) -> int:
    """Interpret a program for one access, in the kernel's manner."""
    context = struct.pack("=III", device_bpf.TYPES[kind] | access << 16, major, minor)
    registers: list[int | None] = [None] * 11
    registers[1] = 0
    program = [struct.unpack_from("=BBhi", code, at) for at in range(0, len(code), 8)]
    at = 0
    while True:
        operation, pair, offset, value = program[at]
        target, source = pair & 15, pair >> 4
        at += 1
        if operation == device_bpf.EXIT:
            assert registers[0] is not None
            return registers[0]
        if operation == device_bpf.LOAD_WORD:
            assert registers[source] == 0
            registers[target] = struct.unpack_from("=I", context, offset)[0]
            continue
        if operation == device_bpf.SET:
            registers[target] = value
            continue
        if operation == device_bpf.JUMP:
            assert offset > 0
            at += offset
            continue
        current = registers[target]
        assert current is not None
        if operation == device_bpf.AND:
            registers[target] = current & value & LAST
        elif operation == device_bpf.SHIFT_RIGHT:
            registers[target] = (current & LAST) >> value
        elif operation == device_bpf.JUMP_NOT_EQUAL:
            at += offset if current & LAST != value & LAST else 0
        elif operation == device_bpf.JUMP_ANY_BIT:
            at += offset if current & value & LAST else 0
        else:
            pytest.fail(f"operation {operation:#x}")


# Few numbers, so that rules and devices meet; the large ones show sign extension.
NUMBERS = st.sampled_from([0, 1, 2, 3, 136, 0x7FFFFFFF, 0x80000000, LAST])
KEYS = st.tuples(st.sampled_from("bc"), NUMBERS | st.just(ANY), NUMBERS | st.just(ANY))
POLICIES = st.builds(Policy, st.booleans(), st.dictionaries(KEYS, st.integers(1, ALL), max_size=12))


@given(POLICIES, st.sampled_from("bc"), NUMBERS, NUMBERS, st.integers(0, ALL))
def test_program_decides_as_the_policy(
    policy: Policy, kind: str, major: int, minor: int, access: int
) -> None:
    verdict = run(device_bpf.program(policy), kind, major, minor, access)
    assert verdict == int(policy.allows(kind, major, minor, access))


@given(POLICIES)
def test_every_jump_lands_inside(policy: Policy) -> None:
    code = device_bpf.program(policy)
    count = len(code) // 8
    for at in range(count):
        operation, _, offset, _ = struct.unpack_from("=BBhi", code, at * 8)
        if operation in (
            device_bpf.JUMP,
            device_bpf.JUMP_NOT_EQUAL,
            device_bpf.JUMP_ANY_BIT,
        ):
            assert at < at + 1 + offset < count


def test_the_start_is_deny_all() -> None:
    assert build() == Policy(False)
    assert build(Rule(True), Rule(False)) == Policy(False)
    assert build(Rule(True, "a", 1, 3, "r")).allows_all


def test_rules_add_up_and_take_away() -> None:
    policy = build(
        Rule(True, "c", 1, 3, "r"), Rule(True, "c", 1, 3, "w"), Rule(False, "c", 1, 3, "r")
    )
    assert policy.exceptions == {("c", 1, 3): WRITE}
    assert not policy.allows("c", 1, 3, READ | WRITE)


def test_denying_one_way_denies_accesses_that_include_it() -> None:
    policy = build(Rule(True), Rule(False, "c", 1, 3, "w"))
    assert policy.allows("c", 1, 3, READ)
    assert not policy.allows("c", 1, 3, READ | WRITE)


def test_no_hole_in_a_wildcard() -> None:
    with pytest.raises(SpecError) as caught:
        build(Rule(True, "c", 1, None), Rule(False, "c", 1, 3, "w"))
    assert caught.value.pointer == "/linux/resources/devices/1"
    # Nothing of it is allowed anyway, so nothing has to be cut out.
    build(Rule(True, "c", 1, None, "r"), Rule(False, "c", 1, 3, "w"))


@pytest.mark.parametrize(
    ("rule", "member"),
    [
        (Rule(True, access=""), "access"),
        (Rule(True, "c", access=None), "access"),
        (Rule(True, "c", access="xa"), "access"),
        (Rule(True, "p"), "type"),
        (Rule(True, "c", -2), "major"),
        (Rule(True, "c", 1, 1 << 32), "minor"),
    ],
)
def test_wrong_rules(rule: Rule, member: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(rule)
    assert caught.value.pointer == f"/linux/resources/devices/0/{member}"


def test_default_rules_come_last_and_cannot_be_denied() -> None:
    policy = devices.policy([Rule(False)])  # type: ignore[list-item]
    for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 7)):
        assert policy.allows("c", major, minor, ALL)
    assert policy.allows("b", 8, 0, MKNOD)
    assert not policy.allows("b", 8, 0, READ)
    assert not policy.allows("c", 1, 1, READ)


def test_a_device_of_the_spec_replaces_the_default_rule() -> None:
    policy = devices.policy([], ["/dev/null", "/dev/sda"])
    assert not policy.allows("c", 1, 3, READ)
    assert policy.allows("c", 1, 5, READ)


def test_defaults_that_a_wildcard_denies() -> None:
    with pytest.raises(PyruncError, match="c 1:3 rwm"):
        devices.policy([Rule(True), Rule(False, "c", 1, None)])  # type: ignore[list-item]


def test_devices_list() -> None:
    text = "c *:* m\nb 8:* rw\nc 1:3 rwm"
    assert devices.parse_list(text) == Policy(
        False, {("c", ANY, ANY): MKNOD, ("b", 8, ANY): READ | WRITE, ("c", 1, 3): ALL}
    )
    assert devices.parse_list("a *:* rwm").allows_all


class Kernel:
    """The v1 devices controller, as far as its rules go."""

    def __init__(self, policy: Policy) -> None:
        self.policy = Policy(policy.default_allow, dict(policy.exceptions))

    def write(self, file: str, line: str) -> None:
        allow = file == "devices.allow"
        if line == "a":
            self.policy.reset(allow)
            return
        key, access = devices.parse_list(line).exceptions.popitem()
        current = self.policy.exceptions.get(key, 0)
        # The kernel compares whole keys only: a hole in a wildcard is ignored.
        left = current | access if allow != self.policy.default_allow else current & ~access
        self.policy.exceptions.pop(key, None)
        if left:
            self.policy.exceptions[key] = left


@given(POLICIES, POLICIES)
def test_transition_reaches_the_target(start: Policy, target: Policy) -> None:
    kernel = Kernel(start)
    # "Allow all" reads without its exceptions.
    shown = Policy(True) if start.default_allow else start
    for file, line in devices.transition(shown, target):
        kernel.write(file, line)
        if not start.default_allow and not target.default_allow:
            # No process loses, even for a moment, what both policies allow.
            for key, access in start.exceptions.items():
                both = access & target.exceptions.get(key, 0)
                assert not both & ~kernel.policy.exceptions.get(key, 0)
    assert kernel.policy == target


def test_no_write_without_a_difference() -> None:
    policy = devices.policy([])
    assert devices.transition(policy, policy) == []
