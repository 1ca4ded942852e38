# SPDX-License-Identifier: Apache-2.0
"""Where something runs out, a call of the library says what failed and on what, and undoes it.

Each is a PyruncError: nothing may be left to fail as a bare OSError. One after the other each step
is the one that fails, as there is room for one more.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMON = """
import os, resource, subprocess, sys
from contextlib import contextmanager
import pyrunc

root, bundle = sys.argv[1:]
null = os.open(os.devnull, os.O_RDWR)

def create():
    return pyrunc.Container.create(bundle, "lacking", root=root, stdio=(null, null, null))

def sweep(call, limits):
    "Call it under one limit after the other, until it succeeds; a line for each failure."
    for limit in limits:
        try:
            with limit:
                return call()
        except pyrunc.PyruncError as error:
            print(type(error).__name__, error)
"""

FULL = """
@contextmanager
def mounted(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", root], check=True)
    try:
        yield
    finally:
        left = os.listdir(root)
        subprocess.run(["umount", root], check=True)
        assert left == []

def life():
    create().delete(force=True)

sweep(life, map(mounted, OPTIONS))
"""


def outcome(script: str, *words: str, before: tuple[str, ...] = ()) -> list[str]:
    command = [*before, sys.executable, "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


PRIVATE = ("unshare", "-m", "--propagation", "private")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([f"nr_inodes={count}" for count in range(1, 20)], "no space left on device"),
        (["size=4k", "size=8k", "size=12k", "size=64k"], "no space left on device"),
        (["ro"], "read-only file system"),
    ],
    ids=["files", "bytes", "read-only"],
)
def test_a_state_root_that_is_full(bundle, tmp_path, options, reason):
    bundle.args("/bin/true")
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    script = COMMON + FULL.replace("OPTIONS", repr(options))
    said = outcome(script, str(root), str(bundle.path), before=PRIVATE)
    assert said
    assert all(reason in line and str(root) in line for line in said), said


DESCRIPTORS = """
@contextmanager
def at_most(count):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

def until_enough(call):
    # Lazy imports and caches first, without a limit.
    here = len(os.listdir("/proc/self/fd"))
    sweep(call, map(at_most, range(here, here + 60)))
    assert len(os.listdir("/proc/self/fd")) == here, call

def created():
    with create():
        pass

created()
until_enough(created)
with create() as box:
    def load():
        with pyrunc.Container.load("lacking", root=root) as loaded:
            loaded.state
    def run():
        box.exec(["/bin/true"], capture_output=True)
    run()
    for call in (load, run, box.processes, lambda: box.kill(0), lambda: box.update({})):
        call()
        until_enough(call)
    until_enough(box.start)
"""


def test_too_few_descriptors(bundle, tmp_path):
    bundle.args("/bin/sleep", "1000")
    root = tmp_path / "root"
    said = outcome(COMMON + DESCRIPTORS, str(root), str(bundle.path))
    assert len(said) > 30
    assert all("too many open files" in line for line in said), said
