# SPDX-License-Identifier: Apache-2.0
"""Where no cgroup can be made or removed: no id is lost, and no other cgroup."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.lib import support
from tests.lib.cgroup_tools import LAYOUT, NEEDS_ROOT

pytestmark = NEEDS_ROOT
READ_ONLY = """
for at in $(awk '$5 ~ "^/sys/fs/cgroup" {print $5}' /proc/self/mountinfo); do
    mount -o remount,bind,ro "$at"
done
exec "$@"
"""


@pytest.fixture
def read_only(runtime):
    """The same runtime where all cgroup mounts are read-only, in a mount namespace of its own."""
    made = support.Runtime(runtime.program, runtime.root)
    view = ["unshare", "-m", "--propagation", "private", "sh", "-c", READ_ONLY, "sh"]
    made.prefix = tuple(view)
    return made


def test_create_says_so_and_leaves_nothing(read_only, runtime, bundle):
    done = read_only.run(bundle)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "create cgroup" in done.stderr
    assert "cleaning up" not in done.stderr
    assert list(runtime.root.iterdir()) == []


def test_an_id_whose_creation_was_killed_is_freed(read_only, runtime, bundle):
    name = runtime.new_id()
    entry = runtime.root / name
    entry.mkdir(parents=True, mode=0o711)
    cgroup = {"manager": "fs", "layout": LAYOUT.to_dict(), "owned": True,
              "inner": [f"/{name}" for _ in LAYOUT.hierarchies]}  # fmt: skip
    (entry / "journal").write_text(json.dumps({"cgroup": cgroup}) + "\n")
    read_only("delete", "--force", name)
    assert not entry.exists()


def test_a_path_through_a_file_is_no_cgroup(runtime):
    name = runtime.new_id()
    entry = runtime.root / name
    entry.mkdir(parents=True, mode=0o711)
    cgroup = {"manager": "fs", "layout": LAYOUT.to_dict(), "owned": True,
              "inner": ["/cgroup.procs/x" for _ in LAYOUT.hierarchies]}  # fmt: skip
    (entry / "journal").write_text(json.dumps({"cgroup": cgroup}) + "\n")
    runtime("delete", "--force", name)
    assert not entry.exists()


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_a_container_is_ended_and_its_id_freed(read_only, runtime, bundle, status):
    bundle.args("/bin/sleep", "1000")
    name = support.put(runtime, bundle, status)
    try:
        refused = read_only("delete", name, check=False)
        assert refused.returncode == 1
        done = read_only("delete", "--force", name)
        assert "left behind" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (runtime.root / name).exists()
    finally:
        support.remove_cgroups(name)


def test_what_lives_in_it_keeps_it(read_only, runtime, bundle):
    """Without a pid namespace the others live on, and nothing of ours can reach them there."""
    bundle.config["linux"]["namespaces"] = [
        space for space in bundle.config["linux"]["namespaces"] if space["type"] != "pid"
    ]
    bundle.shell("trap '' TERM; sleep 1000 & exec sleep 1000")
    name = support.put(runtime, bundle, "running")
    support.in_time(lambda: len(json.loads(runtime("ps", "-f", "json", name).stdout)) == 2)
    refused = read_only("delete", "--force", name, check=False)
    assert refused.returncode == 1
    assert (runtime.root / name).exists()
    runtime("delete", "--force", name)


@pytest.mark.parametrize("owned", [False, True])
def test_what_was_there_before_a_killed_creation_stays(runtime, owned):
    name = runtime.new_id()
    entry = runtime.root / name
    entry.mkdir(parents=True, mode=0o711)
    tops = [Path(f"{h.mount}/{name}") for h in LAYOUT.hierarchies]
    for top in tops:
        top.mkdir()
    noted = {"manager": "fs", "layout": LAYOUT.to_dict(), "owned": owned,
             "inner": [f"/{name}" for _ in LAYOUT.hierarchies]}  # fmt: skip
    there = [str(top) for top in tops[1:] or tops]
    (entry / "journal").write_text(json.dumps({"cgroup": noted, "there": there}) + "\n")
    try:
        runtime("delete", "--force", name)
        assert [top.is_dir() for top in tops] == [len(tops) == 1] + [True] * (len(tops) - 1)
        assert not entry.exists()
    finally:
        for top in tops:
            if top.is_dir():
                os.rmdir(top)


def test_a_refused_create_leaves_an_empty_cgroup_of_others(runtime, bundle):
    path = f"/{runtime.new_id()}"
    tops = [Path(h.mount + path) for h in LAYOUT.hierarchies]
    # In one hierarchy it is ours: that one goes.
    for top in tops[1:] or tops:
        top.mkdir()
    bundle.config["linux"]["cgroupsPath"] = path
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    try:
        assert runtime.run(bundle.args("/bin/true")).returncode == 1
        assert [top.is_dir() for top in tops] == [len(tops) == 1] + [True] * (len(tops) - 1)
        del bundle.config["hooks"]
        assert runtime.run(bundle.args("/bin/true")).returncode == 0
    finally:
        for top in tops:
            if top.is_dir():
                os.rmdir(top)
