# SPDX-License-Identifier: Apache-2.0
"""The guest is the host that the other tests count on; and pyrunc leaves it as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guest.engines import IMAGE, command
from tests.lib import support


def test_systemd_and_pure_cgroup_v2():
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert Path("/run/systemd/system").is_dir()
    controllers = Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    assert {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"} <= set(controllers)
    assert command("systemctl", "--failed", "--no-legend") == ""


def test_the_versions_that_the_tests_know():
    assert "runc version 1.1.15" in command("runc", "--version")
    assert "crun version 1.21" in command("crun", "--version")
    assert Path("/sys/module/apparmor/parameters/enabled").read_text() == "Y\n"


def test_criu():
    assert "Looks good." in command("criu", "check")


def test_docker_with_runc(docker):
    assert docker("run", "--rm", "--network", "none", IMAGE, "echo", "inside") == "inside\n"


def test_podman_with_crun(podman):
    assert podman("run", "--rm", "--network", "none", IMAGE, "echo", "inside") == "inside\n"


def test_a_users_session(tmp_path):
    script = tmp_path / "script"
    script.write_text("id -u; systemctl --user is-system-running; cat /proc/self/cgroup\n")
    done = command(
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=User=tester"),
        *("--property=PAMName=login", "sh", "-c", script.read_text()),
    )
    uid, state, cgroup = done.split()
    assert (uid, state) == ("1000", "running")
    assert cgroup.startswith("0::/user.slice/user-1000.slice/")


@pytest.fixture
def hierarchy():
    """With systemd's options, which a test before may have lost."""
    support.restore_cgroup_options()
    yield
    support.restore_cgroup_options()


@pytest.mark.parametrize("program", ["pyrunc", "runc"])
def test_a_cgroup_mount_takes_no_option_from_the_host(hierarchy, runtime, bundle, program):
    """Decision 19 of docs/design.md: nsdelegate is a boundary. runc shows that it can be lost."""
    namespaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [ns for ns in namespaces if ns["type"] != "cgroup"]
    assert any(mount["type"] == "cgroup" for mount in bundle.config["mounts"])
    bundle.args("grep", "-c", " /sys/fs/cgroup cgroup2 ", "/proc/mounts")
    runtime.program = support.PYRUNC if program == "pyrunc" else "runc"
    done = runtime.run(bundle)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert support.cgroup_options() == (support.CGROUP_OPTIONS if program == "pyrunc" else set())


def test_memory_that_is_promised_to_nobody_twice(runtime, bundle):
    """vm.overcommit_memory=2: what is mapped has to be there, the executable's zero pages too."""
    mode, ratio = Path("/proc/sys/vm/overcommit_memory"), Path("/proc/sys/vm/overcommit_ratio")
    before = mode.read_text(), ratio.read_text()
    ratio.write_text("100")
    mode.write_text("2")
    try:
        assert support.said(runtime, bundle, "echo inside") == "inside\n"
    finally:
        mode.write_text(before[0])
        ratio.write_text(before[1])
