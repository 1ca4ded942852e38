# SPDX-License-Identifier: Apache-2.0
"""What a container makes below its cgroup decides neither our recursion nor our descriptors.

Once as the host is, once more in the cgroup v2 view of it.
"""

from __future__ import annotations

import os
import resource
import time
from contextlib import contextmanager, suppress

import pytest

from pyrunc import cgroups
from pyrunc.cgroups import tree
from tests.lib import support
from tests.lib.cgroup_tools import (
    LAYOUT,
    NEEDS_ROOT,
    V2,
    Child,
    exists,
    legacy,
    outside,
    run_in_v2_view,
)
from tests.lib.cgroup_tools import unified as only_v2

pytestmark = NEEDS_ROOT
# Ten times as many of both were tried by hand: the kernel's part of it takes a minute.
LEVELS = 1500 if support.SLOW == 1 else 1100
SIBLINGS = 4000 if support.SLOW == 1 else 500
FEW = 24  # descriptors above those that are open


@outside
def test_the_same_in_a_v2_view():
    run_in_v2_view(__file__)


@contextmanager
def few_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + FEW, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def bottom(directory, levels):
    """A descriptor of the last of so many directories, one in the other, which are made."""
    here = os.open(directory, tree.DIRECTORY)
    try:
        for _ in range(levels):
            os.mkdir("d", dir_fd=here)
            there = os.open("d", tree.DIRECTORY, dir_fd=here)
            os.close(here)
            here = there
        yield here
    finally:
        os.close(here)


@pytest.fixture
def manager(name):
    made = cgroups.new_manager(LAYOUT, name, "id")
    made.create()
    yield made
    for path in exists(made.cgroup):  # os.walk of the other fixture would not get to the bottom
        fd = os.open(path, tree.DIRECTORY)
        tree.remove_below(fd)
        os.close(fd)
        with suppress(FileNotFoundError):
            os.rmdir(path)


def directory_of(manager, controller):
    return manager.cgroup.by_controller["" if V2 else controller]


def enter(directory, pid, name="cgroup.procs"):
    fd = os.open(name, os.O_WRONLY, dir_fd=directory)
    os.write(fd, str(pid).encode())
    os.close(fd)


def until(ready):
    deadline = time.monotonic() + 20 * support.SLOW
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_process_below_a_thousand_levels(manager, frozen):
    child = Child(lambda: time.sleep(1000) or 0)
    os.write(child.gate, b"x")
    with bottom(directory_of(manager, "devices"), LEVELS) as at:
        enter(at, child.pid)
        if frozen and V2:
            tree.write(at, "cgroup.freeze", "1")
            until(lambda: "frozen 1" in tree.read(at, "cgroup.events"))
    if not V2 and frozen:
        with bottom(directory_of(manager, "freezer"), LEVELS) as at:
            enter(at, child.pid)
            tree.write(at, "freezer.state", "FROZEN")
            until(lambda: tree.read(at, "freezer.state") == "FROZEN")
    with few_descriptors():
        assert manager.cgroup.pids() == [child.pid]
        manager.destroy()
    assert not exists(manager.cgroup)
    assert child.finish() == -9


def test_thousands_of_siblings(manager):
    child = Child(lambda: time.sleep(1000) or 0)
    os.write(child.gate, b"x")
    top = os.open(directory_of(manager, "devices"), tree.DIRECTORY)
    for number in range(SIBLINGS):
        os.mkdir(f"s{number}", dir_fd=top)
    last = os.open(f"s{SIBLINGS - 1}", tree.DIRECTORY, dir_fd=top)
    enter(last, child.pid)
    os.close(last)
    os.close(top)
    with few_descriptors():
        assert manager.cgroup.pids() == [child.pid]
        manager.destroy()
    assert not exists(manager.cgroup)
    assert child.finish() == -9


@only_v2
def test_threads_at_the_bottom(manager):
    child = Child(lambda: time.sleep(1000) or 0)
    os.write(child.gate, b"x")
    top = os.open(manager.cgroup.directories[0], tree.DIRECTORY)
    enter(top, child.pid)
    os.close(top)
    here = os.open(manager.cgroup.directories[0], tree.DIRECTORY)
    for _ in range(100):
        os.mkdir("t", dir_fd=here)
        there = os.open("t", tree.DIRECTORY, dir_fd=here)
        os.close(here)
        here = there
        tree.write(here, "cgroup.type", "threaded")
    enter(here, child.pid, "cgroup.threads")
    os.close(here)
    with few_descriptors():
        assert manager.cgroup.pids() == [child.pid]
        manager.destroy()
    assert not exists(manager.cgroup)
    assert child.finish() == -9


@legacy
def test_one_busy_sibling_does_not_spare_the_others(manager):
    """All that can go has gone after one round."""
    child = Child(lambda: time.sleep(1000) or 0)
    top = os.open(directory_of(manager, "devices"), tree.DIRECTORY)
    for number in range(20):
        os.mkdir(f"s{number}", dir_fd=top)
    busy = os.open("s7", tree.DIRECTORY, dir_fd=top)
    enter(busy, child.pid)
    os.close(busy)
    removed, error = tree.remove_below(top)
    assert (removed, tree.children(top)) == (19, ["s7"])
    assert error is not None
    os.close(top)
    os.kill(child.pid, 9)
    assert child.finish() == -9
    manager.destroy()


MANY = """
i=0; cd /sys/fs/cgroup
while [ $i -lt 1200 ]; do mkdir d; cd d; i=$((i+1)); done
echo ready > /ready
sleep 1000
"""


@only_v2
def test_a_container_does_not_make_itself_undeletable(runtime, bundle):
    config = bundle.config
    config["root"]["readonly"] = False
    config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}
    )
    spaces = [s for s in config["linux"]["namespaces"] if s["type"] != "cgroup"]
    config["linux"]["namespaces"] = [*spaces, {"type": "cgroup"}]
    bundle.shell(MANY)
    name = runtime.create(bundle)
    runtime("start", name)
    until((bundle.rootfs / "ready").exists)
    assert len(runtime("ps", "-f", "json", name).stdout.split(",")) == 2
    runtime("delete", "--force", name)
    assert not support.cgroups_named(name)
