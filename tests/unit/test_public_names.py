# SPDX-License-Identifier: Apache-2.0
"""What `import pyrunc` gives to programs: names, their words, the types that they speak of."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyrunc

NAMES = """
    DEVNULL PIPE STDOUT
    Completed Container Event Events Exit Finding Limits OomCounts Plan PlanLine Process Signals
    Spec Stats
    BusError CgroupError ContainerExists ContainerNotFound ContainerNotRunning CriuError ExecError
    ExecFailed ExecTimeout ForeignContainer HookError Interrupted KernelError NotReady PyruncError
    PyruncWarning SpecError StartError StateError UnsupportedError UsageError
    metrics plan validate __version__
"""


def test_the_names_are_these() -> None:
    """A new one is a promise; one that goes breaks programs."""
    assert sorted(pyrunc.__all__) == sorted(NAMES.split())
    for name in pyrunc.__all__:
        assert getattr(pyrunc, name) is not None


def public(thing: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The calls of a class, its properties' ones among them."""
    for name, member in inspect.getmembers(thing):
        if name.startswith("_") and name != "__init__":
            continue
        call = member.fget if isinstance(member, property) else member
        if inspect.isfunction(call) or inspect.ismethod(call):
            yield name, call


OBJECTS = [name for name in NAMES.split() if callable(getattr(pyrunc, name))]


@pytest.mark.parametrize("name", OBJECTS)
def test_each_has_words(name: str) -> None:
    thing = getattr(pyrunc, name)
    assert (thing.__doc__ or "").strip()
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        without = [
            member
            for member, call in public(thing)
            if not call.__doc__ and member not in ("__init__", "close", "read")
        ]
        assert without == []


def spoken_of(hint: object) -> Iterator[type]:
    """The classes of ours in an annotation."""
    if inspect.isclass(hint) and hint.__module__.startswith("pyrunc"):
        yield hint
    for part in typing.get_args(hint):
        yield from spoken_of(part)


@pytest.mark.parametrize("name", OBJECTS)
def test_the_types_in_its_signatures_are_to_be_had(name: str) -> None:
    thing = getattr(pyrunc, name)
    known = {getattr(pyrunc, one) for one in pyrunc.__all__}
    calls = public(thing) if inspect.isclass(thing) else iter([(name, thing)])
    missing = set()
    # Objects that calls return are made by the library; records have what their fields speak of.
    for member, call in (found for found in calls if found[0] != "__init__"):
        for hint in typing.get_type_hints(call).values():
            missing |= {
                f"{member}: {one.__name__}"
                for one in spoken_of(hint)
                # The classes of keywords are for type checkers, which find them by themselves.
                if one not in known and one.__module__ != "pyrunc.keywords"
            }
    assert missing == set()
