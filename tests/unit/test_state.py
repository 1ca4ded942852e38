# SPDX-License-Identifier: Apache-2.0
"""state.json's reader and writer."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.errors import PyruncError
from pyrunc.lifecycle.state import VERSION, State

# What 0.1.0 wrote at least.
OLD: dict[str, Any] = {
    "version": 1, "id": "c", "ociVersion": "1.0.2", "bundle": "/b", "rootfs": "/b/rootfs",
    "annotations": {}, "resources": {}, "hooks": {}, "notify": False, "keyring": True,
    "stdio": [], "privatePid": True, "pid": 12, "startTime": 3, "created": "2026-01-01T00:00:00Z",
    "cgroup": {"manager": "fs"},
}  # fmt: skip


def test_what_is_written_is_read_back() -> None:
    state = State.from_json(dict(OLD), "state.json")
    assert state.to_json() == {**OLD, "boot": ""}
    for name, value in (("config", "/c.json"), ("resctrl", {"path": "/r"}), ("boot", "x")):
        changed = State.from_json({**OLD, name: value}, "state.json")
        assert State.from_json(changed.to_json(), "state.json") == changed
        assert changed.to_json()[name] == value


def test_a_member_of_another_version_is_passed_over() -> None:
    assert State.from_json({**OLD, "later": 1}, "s") == State.from_json(dict(OLD), "s")


@pytest.mark.parametrize("name", [name for name in OLD if name not in ("version", "resources")])
def test_what_no_command_can_do_without_is_asked_for(name: str) -> None:
    without = {key: value for key, value in OLD.items() if key != name}
    if name in ("notify", "keyring", "stdio", "privatePid"):
        State.from_json(without, "s")
        return
    for raw in (without, {**OLD, name: None}):
        with pytest.raises(PyruncError, match="s is damaged"):
            State.from_json(raw, "s")


@pytest.mark.parametrize("raw", [None, [], "state", {}, {**OLD, "pid": 0}])
def test_what_is_no_state_is_damaged(raw: object) -> None:
    with pytest.raises(PyruncError, match="damaged"):
        State.from_json(raw, "s")


def test_a_later_version_is_refused() -> None:
    with pytest.raises(PyruncError, match=f"version {VERSION + 1}, but this pyrunc supports"):
        State.from_json({**OLD, "version": VERSION + 1}, "s")
