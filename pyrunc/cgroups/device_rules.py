# SPDX-License-Identifier: Apache-2.0
"""What a list of device rules means: the reference that both enforcers are made from.

The semantics are those of the v1 devices controller, on v2 as well, so that one config.json means
one thing: a default, and exceptions from it that the rules add and remove in their order. Pure;
must not know how a policy is enforced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyrunc.errors import SpecError
from pyrunc.spec.model_resources import DeviceRule

MKNOD, READ, WRITE = 1, 2, 4
ALL = MKNOD | READ | WRITE
ANY = -1
_BITS = {"m": MKNOD, "r": READ, "w": WRITE}
_LETTERS = ("", "m", "r", "rm", "w", "wm", "rw", "rwm")  # of the bits 0 to 7
_LAST_NUMBER = (1 << 32) - 1
_BASE = "/linux/resources/devices"

# Type "b" or "c", major, minor; ANY is every number.
Key = tuple[str, int, int]


@dataclass(slots=True)
class Policy:
    """A default and the exceptions from it.

    Args:
        default_allow: what holds where no exception does.
        exceptions: (type, major, minor) to the bits of access that are the other way round.
    """

    default_allow: bool = False
    exceptions: dict[Key, int] = field(default_factory=dict)

    @property
    def allows_all(self) -> bool:
        """Whether nothing is denied."""
        return self.default_allow and not self.exceptions

    def reset(self, allow: bool) -> None:
        """Rule type "a": a new default, without exceptions."""
        self.default_allow = allow
        self.exceptions.clear()

    def change(self, allow: bool, key: Key, access: int) -> bool:
        """Allow or deny some access to some devices.

        Args:
            allow: whether to allow it.
            key: the devices.
            access: bits of access.

        Returns:
            False when this would have to cut a hole into an exception that covers more
            devices, which the v1 controller cannot; nothing has changed then.
        """
        if allow != self.default_allow:
            self.exceptions[key] = self.exceptions.get(key, 0) | access
            return True
        if any(self.exceptions.get(wider, 0) & access for wider in _wider(key)):
            return False
        left = self.exceptions.get(key, 0) & ~access
        if left:
            self.exceptions[key] = left
        else:
            self.exceptions.pop(key, None)
        return True

    def allows(self, kind: str, major: int, minor: int, access: int) -> bool:
        """Whether a process may access a device in all the ways asked for at once.

        Args:
            kind: "b" or "c".
            major: of the device.
            minor: of the device.
            access: bits of access.
        """
        for (k, a, i), bits in self.exceptions.items():
            if k != kind or a not in (ANY, major) or i not in (ANY, minor):
                continue
            if not self.default_allow and not access & ~bits:
                return True
            # A denied way spoils the whole access, as in the v1 controller. runc's program
            # wants all ways denied: opening read-write passes its rule against writing.
            if self.default_allow and access & bits:
                return False
        return self.default_allow


def build(rules: Iterable[DeviceRule]) -> Policy:
    """The policy that rules make of "deny everything", in their order.

    Args:
        rules: linux.resources.devices.

    Raises:
        SpecError: a rule is wrong, or denies a part of what an earlier one allows with a
            wildcard.
    """
    policy = Policy()
    for index, rule in enumerate(rules):
        # The type comes first: of an "a" rule nothing but `allow` counts.
        access = _access(rule.access, index)
        if rule.type in (None, "", "a"):
            policy.reset(bool(rule.allow))
            continue
        if rule.type not in ("b", "c"):
            raise SpecError(f'unknown device type "{rule.type}"', pointer=f"{_BASE}/{index}/type")
        key = (
            rule.type,
            _number(rule.major, index, "major"),
            _number(rule.minor, index, "minor"),
        )
        if not policy.change(bool(rule.allow), key, access):
            raise SpecError(
                "cannot take single devices out of an earlier rule with a wildcard",
                pointer=f"{_BASE}/{index}",
                hint="list the devices that are meant",
            )
    return policy


def letters(access: int) -> str:
    """Bits of access in the order the kernel prints them."""
    return _LETTERS[access]


def bits(text: str) -> int:
    """Letters of access as bits; other letters have none."""
    total = 0
    for letter in text:
        total |= _BITS.get(letter, 0)
    return total


def _wider(key: Key) -> list[Key]:
    kind, major, minor = key
    wider = [(kind, ANY, minor), (kind, major, ANY), (kind, ANY, ANY)]
    return [candidate for candidate in wider if candidate != key]


def _access(text: str | None, index: int) -> int:
    if not text:
        raise SpecError("device access must not be empty", pointer=f"{_BASE}/{index}/access")
    # Other letters are nothing to the kernel; check_resources.py has warned about them.
    if found := bits(text):
        return found
    raise SpecError(
        f'"{text}" has none of the letters r, w and m', pointer=f"{_BASE}/{index}/access"
    )


def _number(number: int | None, index: int, name: str) -> int:
    if number is None or number == ANY:
        return ANY
    if not 0 <= number <= _LAST_NUMBER:
        raise SpecError(f"{number} is not a valid device number", pointer=f"{_BASE}/{index}/{name}")
    return number
