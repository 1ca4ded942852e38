# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests that make containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lib import executable, support


def pytest_terminal_summary(terminalreporter):
    if support.EVERY > 1:
        terminalreporter.section("sampled")
        terminalreporter.line(f"test_faults.py: one system call, or life, in {support.EVERY}")


def pytest_collection_modifyitems(items):
    """Pure code is tested without the command, and without waiting for it."""
    if support.GUEST or str(executable.PATH) != support.PYRUNC:
        return
    newer = executable.what_is_newer()
    if newer and any("unit" not in item.path.parts for item in items):
        raise pytest.UsageError(f"{newer} is newer than {support.PYRUNC}: make static")


def pytest_report_header(config):
    return f"command: {support.PYRUNC}"


@pytest.fixture(scope="session", autouse=True)
def no_cgroup_is_left():
    """Those that tests make for themselves; `runtime` looks for those of its containers. On the
    host, which is shared: the guest goes, with what peers have left in it."""
    yield
    if support.GUEST:
        return
    mine = f"pyrunc-test-{os.getpid()}*"
    top = Path("/sys/fs/cgroup")
    left = [str(path) for pattern in (mine, f"*/{mine}") for path in top.glob(pattern)]
    assert not left, "cgroups left behind"


@pytest.fixture
def bundle(tmp_path):
    if reason := support.needs_root():
        pytest.skip(reason)
    return support.Bundle(tmp_path / "bundle", support.default_config())


@pytest.fixture
def runtime(tmp_path):
    """pyrunc with a state root of its own; all its containers are removed at the end."""
    if reason := support.needs_root():
        pytest.skip(reason)
    made = support.Runtime(support.PYRUNC, tmp_path / "state")
    yield made
    made.clean()
    left = [path for name in made.ids for path in support.cgroups_named(name)]
    assert not left, "cgroups left behind"


@pytest.fixture
def runc(tmp_path):
    """The reference, with a state root and ids of its own."""
    if reason := support.lacks_runc():
        pytest.skip(reason)
    made = support.Runtime("runc", tmp_path / "runc" / "state")
    yield made
    made.clean()
    for name in made.ids:
        support.remove_cgroups(name)
