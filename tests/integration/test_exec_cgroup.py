# SPDX-License-Identifier: Apache-2.0
"""`exec` into a container whose cgroup is full, or gone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lib import support
from tests.lib.cgroup_tools import LAYOUT
from tests.lib.support import put


def test_a_container_without_room_for_two(runtime, bundle, tmp_path):
    """A process that joins takes a second one for a moment; pids.max has room for one only."""
    bundle.config["linux"]["resources"]["pids"] = {"limit": 3}
    # The shell and one more.
    bundle.shell("sleep 1000 & exec sleep 1000")
    name = put(runtime, bundle, "running")
    support.in_time(lambda: len(runtime("ps", "-f", "json", name).stdout.split(",")) == 2)
    detached(runtime, name, tmp_path)


def detached(runtime, name, tmp_path) -> None:
    """A further process is in the container's cgroup of every hierarchy, as the host sees it."""
    command = [runtime.program, "--root", str(runtime.root), "exec", "-d"]
    with open(os.devnull, "r+b") as null:
        subprocess.run(
            [*command, "--pid-file", str(tmp_path / "pid"), name, "sleep", "1000"],
            check=True, stdin=null, stdout=null, stderr=null,
        )  # fmt: skip
    pid, init = (tmp_path / "pid").read_text(), runtime.state(name)["pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text() == Path(f"/proc/{init}/cgroup").read_text()


def test_a_full_container(runtime, bundle, tmp_path):
    """Health checks go on: who is moved in is not counted against the limit, as with peers."""
    bundle.config["linux"]["resources"]["pids"] = {"limit": 2}
    bundle.shell("sleep 1000 & exec sleep 1000")
    name = put(runtime, bundle, "running")
    support.in_time(lambda: len(runtime("ps", "-f", "json", name).stdout.split(",")) == 2)
    assert runtime("exec", name, "echo", "healthy").stdout == "healthy\n"
    detached(runtime, name, tmp_path)


def test_a_container_whose_cgroup_has_gone(runtime, bundle):
    """It has moved its processes elsewhere and removed its own: a further one goes to its init."""
    if LAYOUT.kind != "v2":
        pytest.skip("needs pure cgroup v2: elsewhere a process is in several hierarchies")
    name = put(runtime, bundle.args("sleep", "1000"), "running")
    (old,) = support.cgroups_named(name)
    new = f"{LAYOUT.unified.mount}/pyrunc-test-{os.getpid()}-elsewhere"
    os.mkdir(new)
    try:
        Path(new, "cgroup.procs").write_text(str(runtime.state(name)["pid"]))
        os.rmdir(old)
        done = runtime("exec", name, "cat", "/proc/self/cgroup")
        assert "elsewhere" in done.stdout
    finally:
        runtime("delete", "--force", name)
        support.in_time(lambda: "populated 0" in Path(new, "cgroup.events").read_text())
        os.rmdir(new)
