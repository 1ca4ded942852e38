# SPDX-License-Identifier: Apache-2.0
"""The statistics of a container of runc's: as `runc events --stats` and as pyrunc tells them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyrunc import cgroups
from pyrunc.observe import stats as shown
from tests.lib import support

MIB = 1 << 20
# Newer runc tells these too; 1.1 does not.
NEWER = ("psi", "hugetlb")
# They change between the two looks.
MOVING = ("usage", "max", "raw", "total", "kernel", "user", "percpu", "percpu_kernel", "cache")


@pytest.fixture
def container(tmp_path, peer):
    bundle = support.Bundle(tmp_path / "bundle", support.default_config())
    bundle.args("/bin/sleep", "100")
    bundle.config["linux"]["resources"] |= {
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
        "cpu": {"quota": 50_000, "period": 100_000},
        "pids": {"limit": 77},
    }
    bundle.write()
    runtime = support.Runtime("runc", tmp_path / "state")
    name = runtime.create(bundle)
    yield runtime, name
    runtime("delete", "--force", name)


def cgroup_of(pid: int) -> cgroups.Cgroup:
    layout = cgroups.detect()
    rows = [row.split(":", 2) for row in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    own = {name: path for _, names, path in rows for name in names.split(",")}
    inner = [own[hierarchy.names[0]] for hierarchy in layout.hierarchies]
    return cgroups.open_cgroup(
        {"manager": "fs", "layout": layout.to_dict(), "inner": inner, "owned": False}
    )


def without(value, names):
    if isinstance(value, dict):
        return {k: without(v, names) for k, v in value.items() if k not in names}
    return value


def shape(value):
    """Keys in their order; of numbers only that they are there."""
    if isinstance(value, dict):
        return [(key, shape(member)) for key, member in value.items()]
    return type(value).__name__


def test_the_same_keys_in_the_same_order_and_the_same_limits(container):
    runtime, name = container
    theirs = json.loads(runtime("events", "--stats", name).stdout)
    ours = shown.event(name, cgroup_of(runtime.state(name)["pid"]).stats())
    theirs, ours = without(theirs, NEWER), without(ours, NEWER)
    # How much runs depends on the moment: what is left out when it is zero, too.
    quiet = ("throttling", "blkio")
    assert shape(without(ours, quiet)) == shape(without(theirs, quiet))
    assert list(ours["data"]) == list(theirs["data"])
    fixed = (*MOVING, *quiet)
    assert without(ours, fixed) == without(theirs, fixed)
    assert ours["data"]["memory"]["usage"]["limit"] == 64 * MIB
    assert ours["data"]["memory"]["swap"]["limit"] == 96 * MIB
    assert ours["data"]["pids"]["limit"] == 77
