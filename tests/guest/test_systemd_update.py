# SPDX-License-Identifier: Apache-2.0
"""pause, update and --cgroup-manager with a real systemd, which writes the same files."""

from __future__ import annotations

import json
import os

import pytest

from tests.guest import test_systemd
from tests.guest.test_systemd import ROOT, shown, systemctl

pytestmark = test_systemd.pytestmark
box = test_systemd.box
MIB = 1 << 20
FILES = ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus", "pids.max")
NAMES = (
    "MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "CPUWeight",
    "AllowedCPUs", "TasksMax",
)  # fmt: skip


def values(box):
    """What the kernel and systemd say; the first has to survive a reload."""
    systemctl("daemon-reload")
    return {name: box.read(name) for name in FILES}, shown(box.unit, *NAMES)


@pytest.fixture
def limited(box):
    box.resources |= {
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
        "cpu": {"shares": 512, "quota": 25_000, "period": 50_000},
        "pids": {"limit": 20},
    }
    return box.start()


def test_an_update_survives_a_reload(limited):
    # Without --systemd-cgroup: the state knows.
    limited.runtime(
        "update", "--memory=80m", "--memory-swap=-1", "--cpu-quota=10000", "--cpu-share=1024",
        "--cpuset-cpus=0", "--pids-limit=30", limited.name,
    )  # fmt: skip
    files, properties = values(limited)
    assert files == {
        "memory.max": str(80 * MIB), "memory.swap.max": "max", "cpu.max": "10000 50000",
        "cpu.weight": "100", "cpuset.cpus": "0", "pids.max": "30",
    }  # fmt: skip
    assert properties == {
        "MemoryMax": str(80 * MIB), "MemorySwapMax": "infinity", "CPUQuotaPerSecUSec": "200ms",
        "CPUQuotaPeriodUSec": "50ms", "CPUWeight": "100", "AllowedCPUs": "0", "TasksMax": "30",
    }  # fmt: skip
    # Nothing but what is asked for changes.
    limited.runtime("update", "--pids-limit=-1", limited.name)
    after, _ = values(limited)
    assert after == files | {"pids.max": "max"}


def test_a_refused_update_changes_neither(limited):
    """Also what was never set has a value to go back to."""
    before = values(limited)
    saved = limited.runtime.root / limited.name / "state.json"
    state = saved.read_text()
    done = limited.runtime(
        "update", "--pids-limit=7", "--cpu-share=100", "--memory=70m", "--cpuset-cpus=900",
        limited.name, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "[/cpu/cpus]" in done.stderr
    assert "not put back" not in done.stderr
    assert values(limited) == before
    assert saved.read_text() == state


def test_idle(limited):
    limited.runtime("update", "--cpu-idle=1", limited.name)
    systemctl("daemon-reload")
    assert limited.read("cpu.idle") == "1"
    limited.runtime("update", "--cpu-idle=0", limited.name)
    systemctl("daemon-reload")
    assert (limited.read("cpu.idle"), limited.read("cpu.weight")) == ("0", "100")


def test_updating_a_stopped_one(limited):
    limited.runtime("kill", limited.name, "KILL")
    limited.runtime.until(limited.name, "stopped")
    done = limited.runtime("update", "--pids-limit=7", limited.name, check=False)
    assert (done.returncode, "container not running" in done.stderr) == (1, True)


def test_pause_is_the_kernels(limited):
    limited.runtime("pause", limited.name)
    assert limited.read("cgroup.events").split()[-1] == "1"
    limited.runtime("update", "--pids-limit=9", limited.name)
    systemctl("daemon-reload")
    assert limited.runtime.state(limited.name)["status"] == "paused"
    assert limited.read("pids.max") == "9"
    assert json.loads(limited.runtime("ps", "-f", "json", limited.name).stdout)
    limited.runtime("resume", limited.name)
    assert limited.runtime.state(limited.name)["status"] == "running"


def test_events_of_a_unit(limited):
    line = json.loads(limited.runtime("events", "--stats", limited.name).stdout)
    assert line["data"]["memory"]["usage"]["limit"] == 64 * MIB
    assert line["data"]["pids"]["limit"] == 20


def test_the_newer_option_asks_for_systemd(runtime, bundle):
    name = runtime.new_id()
    bundle.config["linux"]["cgroupsPath"] = f"{test_systemd.SLICE}:test:{name}"
    bundle.args("/bin/sleep", "100")
    runtime.options = ("--cgroup-manager", "systemd")
    runtime.create(bundle, name)
    try:
        assert os.path.isdir(ROOT / test_systemd.SLICE / f"test-{name}.scope")
    finally:
        runtime.clean()
        systemctl("stop", test_systemd.SLICE, check=False)
