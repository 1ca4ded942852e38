# SPDX-License-Identifier: Apache-2.0
"""pause and resume. Each command in each state: tests/contract/test_states.py."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support
from tests.lib.support import put

DNE = "container does not exist"
NOT_PAUSED, NOT_RUNNING = "container not paused", "container not running"
EVENTS = "container with id {} is not running"


def test_a_paused_container_stands_still_and_goes_on(runtime, bundle, tmp_path):
    (bundle.rootfs / "count").touch()
    bundle.config["root"]["readonly"] = False
    bundle.shell("while :; do echo >> /count; sleep 0.01; done")
    name = put(runtime, bundle, "running")
    count = bundle.rootfs / "count"
    deadline = time.monotonic() + 10 * support.SLOW
    while not count.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    runtime("pause", name)
    size = count.stat().st_size
    time.sleep(0.3)
    assert count.stat().st_size == size
    runtime("resume", name)
    while count.stat().st_size == size:
        assert time.monotonic() < deadline + 10 * support.SLOW
        time.sleep(0.01)


def test_a_created_container_is_created_again_after_resume(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    runtime("pause", name)
    assert runtime.state(name)["status"] == "paused"
    refused = runtime("start", name, check=False)
    assert "cannot start a container in the paused state" in refused.stderr
    runtime("resume", name)
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    assert runtime.state(name)["status"] == "running"


def test_a_paused_container_can_be_killed_and_deleted(runtime, bundle):
    bundle.args("/bin/sleep", "100")
    name = put(runtime, bundle, "paused")
    refused = runtime("delete", name, check=False)
    assert f"cannot delete container {name} that is not stopped: paused" in refused.stderr
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    runtime("delete", name)
    name = put(runtime, bundle, "paused")
    runtime("delete", "--force", name)
    assert not support.cgroups_named(name)


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_signals_wait_for_resume(runtime, bundle, options):
    """Those that the program has a handler for; others end it at once on v2."""
    bundle.config["root"]["readonly"] = False
    bundle.shell('trap "exit 3" TERM; touch /ready; while :; do sleep 0.01; done')
    name = put(runtime, bundle, "running")
    deadline = time.monotonic() + 20 * support.SLOW
    while not (bundle.rootfs / "ready").exists():
        assert time.monotonic() < deadline
    runtime("pause", name)
    runtime("kill", *options, name, "TERM")
    assert runtime.state(name)["status"] == "paused"
    runtime("resume", name)
    runtime.until(name, "stopped")


def test_all_means_all(runtime, bundle):
    """Children get it, too, and nothing is left frozen."""
    script = 'trap "exit 3" USR1; (trap "exit 4" USR1; while :; do sleep 0.01; done) & '
    bundle.shell(script + "while :; do sleep 0.01; done")
    name = put(runtime, bundle, "running")
    deadline = time.monotonic() + 10 * support.SLOW
    while len(json.loads(runtime("ps", "-f", "json", name).stdout)) < 3:
        assert time.monotonic() < deadline
    time.sleep(0.1 * support.SLOW)  # until both have their traps
    runtime("kill", "--all", name, "USR1")
    runtime.until(name, "stopped")
    assert runtime("ps", "-f", "json", name).stdout == "null\n"


@pytest.mark.parametrize("turn", range(10))
def test_pausing_while_it_ends(runtime, bundle, turn):
    """Whoever wins: a text of the contract, and nothing stays frozen."""
    bundle.shell(f"sleep 0.0{turn}")
    name = put(runtime, bundle, "running")
    done = runtime("pause", name, check=False)
    if done.returncode:
        assert f'msg="{NOT_RUNNING}"' in done.stderr
    else:
        done = runtime("resume", name, check=False)
        assert done.returncode == 0 or f'msg="{NOT_PAUSED}"' in done.stderr
    runtime.until(name, "stopped")
    runtime("delete", name)


def test_pausing_while_it_is_deleted(runtime, bundle):
    bundle.args("/bin/sleep", "100")
    for _ in range(5):
        name = put(runtime, bundle, "running")
        commands = [("pause", name), ("resume", name), ("ps", name), ("events", "--stats", name)]
        commands += [("update", "--pids-limit", "50", name), ("kill", "-a", name, "USR1")]
        commands.append(("delete", "--force", name))
        with ThreadPoolExecutor(len(commands)) as pool:
            done = pool.map(lambda command: runtime(*command, check=False), commands)
            found = dict(zip(commands, done, strict=True))
        words = (DNE, NOT_PAUSED, NOT_RUNNING, EVENTS.format(name))
        for command, done in found.items():
            assert done.returncode in (0, 1)
            if done.returncode:
                assert any(f'msg="{word}"' in done.stderr for word in words), (command, done.stderr)
        assert found["delete", "--force", name].returncode == 0
        assert not support.cgroups_named(name)


def test_from_the_library(runtime, bundle):
    root = str(runtime.root)
    name = runtime.new_id()
    null = os.open(os.devnull, os.O_RDWR)
    bundle.args("/bin/sleep", "100")
    try:
        with pyrunc.Container.create(str(bundle.path), name, root=root, stdio=(null,) * 3) as made:
            made.pause()
            assert made.status == "paused"
            with pytest.raises(pyrunc.ContainerNotRunning, match="container not running"):
                made.pause()
            made.resume()
            assert made.status == "created"
            with pytest.raises(pyrunc.StateError, match=NOT_PAUSED):
                made.resume()
    finally:
        os.close(null)


def cgroups_of(pid):
    rows = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return [row.split(":", 2)[2] for row in rows]


def test_without_a_cgroup(runtime, bundle):
    """--cgroup-manager disabled: what needs a cgroup says so, and the rest works."""
    bundle.args("/bin/sleep", "100")
    bundle.config["linux"]["resources"] = {}
    bundle.write()
    plain = support.Runtime(runtime.program, runtime.root)
    runtime.options = ("--cgroup-manager", "disabled")
    name = runtime.create(bundle)
    assert not support.cgroups_named(name)
    assert cgroups_of(plain.state(name)["pid"]) == cgroups_of("self")
    plain("start", name)
    for command in (("pause",), ("ps",), ("events", "--stats"), ("events",)):
        done = plain(*command, name, check=False)
        assert done.returncode == 1
        assert 'msg="the container has no cgroup to ' in done.stderr
    done = plain("update", "--memory", "64m", name, check=False)
    assert 'msg="limits need a cgroup, and --cgroup-manager is disabled' in done.stderr
    plain("update", name)
    plain("kill", "--all", name, "KILL")
    plain.until(name, "stopped")
    plain("delete", name)
    # Limits that nobody would enforce are refused.
    bundle.config["linux"]["resources"] = {"pids": {"limit": 5}}
    bundle.write()
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert "limits need a cgroup, and --cgroup-manager is disabled" in done.stderr
    assert "[/linux/resources]" in done.stderr
