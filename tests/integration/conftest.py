# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests that make cgroups without containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import Cgroup, Manager
from tests.lib.cgroup_tools import LAYOUT


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """The path of a cgroup that is gone in every hierarchy after the test."""
    path = f"/pyrunc-test-{os.getpid()}-{request.node.name[:40].replace('/', '_')}"
    yield path
    for hierarchy in LAYOUT.hierarchies:
        top = hierarchy.mount + path
        if os.path.isdir(top):
            for directory, _, _ in os.walk(top, topdown=False):
                with suppress(FileNotFoundError):
                    os.rmdir(directory)


@pytest.fixture
def manager(name: str) -> Iterator[Manager]:
    """Of a created cgroup, which is destroyed after the test."""
    manager = cgroups.new_manager(LAYOUT, name, "id")
    manager.create()
    yield manager
    manager.destroy()


@pytest.fixture
def cgroup(manager: Manager) -> Cgroup:
    """A created cgroup, destroyed after the test."""
    return manager.cgroup
