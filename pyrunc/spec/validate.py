# SPDX-License-Identifier: Apache-2.0
"""Every fault of a config.json at once, in the words of those who read it.

The readers and checkers stop at the first fault, as `create` has to. Here it is noted, its value is
replaced by a harmless one or taken out, and they read again, until nothing is left to say. So
there is one rule and one text for each fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyrunc import jsontext
from pyrunc.errors import PyruncError, SpecError, json_pointer
from pyrunc.spec import load
from pyrunc.spec.model import Spec
from pyrunc.spec.template import default_spec

# Each fault is a reading of the whole document.
MOST = 200
# For a member that is required and not there, by the kind of its value, as in fields.py.
_SAMPLES: dict[str, Any] = {
    "a string": "/",
    "a list of strings": ["/"],
    "a list": [],
    "an object": {},
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Finding:
    """One thing about a document.

    Args:
        fault: it keeps `create` from making the container; otherwise it is odd, and probably not
            what was meant.
        pointer: JSON pointer (RFC 6901) of the value; "" is the whole document.
        message: what is wrong, and why.
        hint: what to write instead, or "".
    """

    fault: bool
    pointer: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.pointer}: " if self.pointer else ""
        return where + self.message + (f" ({self.hint})" if self.hint else "")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, with `level` "error" or "warning"."""
        return {
            "level": "error" if self.fault else "warning",
            "pointer": self.pointer,
            "message": self.message,
            "hint": self.hint,
        }


def validate(
    data: bytes, document: str = "config.json", checks: Iterable[Callable[[Spec], object]] = ()
) -> list[Finding]:
    """Find all that is wrong or odd.

    Args:
        data: the document.
        document: its name, for messages about it as a whole.
        checks: what else can refuse a document that is right by itself, by a PyruncError with a
            pointer.

    Returns:
        The faults in the order in which they are found, at most MOST; then what is odd.
    """
    warnings: list[str] = []
    try:
        raw = jsontext.loads(data, document, warnings)
    except SpecError as error:
        return [_finding(error, error.pointer)]
    repair = _Repair(raw)
    odd = dict.fromkeys(_odd(text, "") for text in warnings)
    faults: dict[str, Finding] = {}
    while len(faults) < MOST:
        texts, fault = _read(repair.raw, document, checks)
        odd |= dict.fromkeys(_odd(text, repair.original(_place(text))) for text in texts)
        if fault is None:
            break
        pointer = repair.original(fault.pointer)
        # Not what comes of a repair: a member is required which was wrong and has been taken out,
        # or a list is too short without it.
        if not any(f"{place}/".startswith(f"{pointer}/") for place in faults):
            faults[pointer] = _finding(fault, pointer)
        if not repair.mend(fault):
            break
    return [*faults.values(), *(finding for finding in odd if finding.pointer not in faults)]


def _read(
    raw: object, document: str, checks: Iterable[Callable[[Spec], object]]
) -> tuple[list[str], PyruncError | None]:
    """The warnings of one reading, and what ended it."""
    warnings: list[str] = []
    try:
        spec = load.from_json(raw, document, warnings)
        for check in checks:
            check(spec)
    except PyruncError as error:
        return warnings, error
    return warnings, None


def _finding(error: PyruncError, pointer: str) -> Finding:
    return Finding(fault=True, pointer=pointer, message=error.message, hint=error.hint)


def _place(warning: str) -> str:
    """The pointer that a warning begins with, or ""."""
    pointer, colon, _ = warning.partition(": ")
    return pointer if colon and pointer[:1] == "/" else ""


def _odd(warning: str, pointer: str) -> Finding:
    message = warning.removeprefix(f"{_place(warning)}: ") if pointer else warning
    return Finding(fault=False, pointer=pointer, message=message)


class _Repair:
    """A document that is repaired, and its places as they were before.

    Args:
        raw: of jsontext.loads; it is changed.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._tries: Counter[str] = Counter()
        # By id, of each list that has lost items: the places of those that are left. Lists that
        # are taken out are kept, so that no other gets an id of theirs.
        self._left: dict[int, list[int]] = {}
        self._out: list[Any] = []

    def original(self, pointer: str) -> str:
        """A pointer into the repaired document as one into the document as it was."""
        names: list[object] = []
        value = self.raw
        for token in _tokens(pointer):
            place = _key(value, token)
            left = self._left.get(id(value)) if isinstance(value, list) else None
            names.append(left[place] if left and isinstance(place, int) else token)
            value = None if place is None else value[place]
        return json_pointer(*names)

    def mend(self, error: PyruncError) -> bool:
        """Take out what an error is about, or put something there; False where that is no help."""
        tokens = _tokens(error.pointer)
        while tokens:
            place = self.original(json_pointer(*tokens))
            self._tries[place] += 1
            # Wrong, then missing, then wrong again: it is the place that does not fit.
            if self._tries[place] <= 2 and self._change(tokens, error.message):
                return True
            tokens = tokens[:-1]
        return False

    def _change(self, tokens: list[str], message: str) -> bool:
        above = self.raw
        for token in tokens[:-1]:
            place = _key(above, token)
            if place is None:
                return False
            above = above[place]
        place = _key(above, tokens[-1])
        if place is not None:
            if isinstance(above, list):
                left = self._left.setdefault(id(above), [*range(len(above))])
                del left[int(place)]
            self._out.append(above.pop(place))
            return True
        if not isinstance(above, dict):
            return False
        above[tokens[-1]] = sample = _sample(tokens, message)
        return sample is not None


def _sample(tokens: list[str], message: str) -> Any:
    """A value for a member that is required: of the default document, or of the kind asked for."""
    value: Any = default_spec(False, 0, 0, True)
    for token in tokens:
        value = value.get(token) if isinstance(value, dict) else None
    return _SAMPLES.get(message.rpartition("must be ")[2]) if value is None else value


def _tokens(pointer: str) -> list[str]:
    names = pointer.split("/")[1:]
    return [name.replace("~1", "/").replace("~0", "~") for name in names]


def _key(value: Any, token: str) -> str | int | None:
    """What leads from a value to a member; None where there is none. Go's json ignores case."""
    if isinstance(value, list):
        return int(token) if token.isdecimal() and int(token) < len(value) else None
    if isinstance(value, dict):
        return token if token in value else next(
            (key for key in value if key.lower() == token.lower()), None
        )  # fmt: skip
    return None
