# SPDX-License-Identifier: Apache-2.0
"""What a killed runtime leaves behind can be removed, whatever it was doing."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib import support

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


def traced(runtime, bundle, name, options, log):
    command = ["strace", "-qq", "-o", log, "-e", "trace=all", *options]
    command += [runtime.program, "--root", str(runtime.root), "create", "-b", str(bundle.path)]
    with open(os.devnull, "r+b") as null:
        return subprocess.run(
            [*command, name], stdin=null, stdout=null, stderr=null, check=False, timeout=60
        ).returncode


def remove(runtime, name):
    done = runtime("delete", "--force", name, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (runtime.root / name).exists()
    assert not support.cgroups_named(name)


def inits():
    """Processes that are still pyrunc-init: none may outlive its container."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            # Not by its name, which is the descriptor's number on kernels before 6.14.
            if os.readlink(f"/proc/{pid}/exe").startswith("/memfd:pyrunc-init"):
                found.add(int(pid))
        except OSError:
            continue  # it has gone, or is a zombie or the kernel's
    return found


def no_more_inits_than(before):
    deadline = time.monotonic() + 5
    left = inits() - before
    # Those that were there then: another test of this file's may be under way beside this one.
    while left := left & inits():
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


@pytest.mark.slow
def test_sigkill_after_every_system_call_of_create(runtime, bundle, tmp_path):
    log = str(tmp_path / "log")
    bundle.config["linux"]["resources"]["pids"] = {"limit": 100}
    bundle.write()
    before = inits()
    remove(runtime, runtime.create(bundle))  # makes the state root, which later runs find
    name = runtime.new_id()
    assert traced(runtime, bundle, name, [], log) == 0
    assert inits() - before, "this test would notice nothing"
    remove(runtime, name)
    with open(log) as file:
        lines = [line for line in file if "(" in line and not line.startswith(("-", "+"))]
    # Before the directory is made there is nothing to leave.
    first = next(i for i, line in enumerate(lines) if line.startswith("mkdir") and "0711" in line)
    calls = [line.split("(")[0] for line in lines]
    assert len(calls) - first > 80
    seen: dict[str, int] = {}
    points = []
    for index, call in enumerate(calls):
        seen[call] = seen.get(call, 0) + 1
        # Whether it waits at all is between it and its child; the calls around are tried.
        if call in ("exit_group", "futex") or index < first:
            continue
        if (index - first) % support.EVERY == 0:
            points.append((call, seen[call]))

    def kill_at(name, points):
        for call, count in points:
            # strace counts the calls of each name by themselves.
            inject = ["-e", f"inject={call}:signal=KILL:when={count}"]
            code = traced(runtime, bundle, name, inject, os.devnull)
            # strace ends as its tracee did.
            assert code != 0, (call, count)
            remove(runtime, name)
            no_more_inits_than(before)
        runtime.create(bundle, name)
        remove(runtime, name)

    with ThreadPoolExecutor(2) as pool:
        halves = [pool.submit(kill_at, runtime.new_id(), points[half::2]) for half in (0, 1)]
    for half in halves:
        half.result()


ERRORS = [
    ("mkdirat", "ENOSPC"),
    ("mknodat", "ENOSPC"),
    ("rename", "ENOSPC"),
    ("renameat", "ENOSPC"),
    ("memfd_create", "ENFILE"),
    ("clone3", "EAGAIN"),
    ("socketpair", "EMFILE"),
    ("prlimit64", "EPERM"),
    ("flock", "EIO"),
]


@pytest.mark.parametrize(("call", "error"), ERRORS)
def test_a_system_call_that_fails_is_rolled_back(runtime, bundle, tmp_path, call, error):
    log = str(tmp_path / "log")
    name = runtime.new_id()
    assert traced(runtime, bundle, name, [], log) == 0
    remove(runtime, name)
    with open(log) as file:
        count = sum(line.startswith(f"{call}(") for line in file)
    before = inits()
    for when in range(1, count + 1):
        inject = ["-e", f"inject={call}:error={error}:when={when}"]
        code = traced(runtime, bundle, name, inject, os.devnull)
        if code != 0:
            assert not (runtime.root / name).exists(), (call, when)
        remove(runtime, name)
        no_more_inits_than(before)


def test_five_hundred_lives_leave_nothing(runtime, bundle):
    import pyrunc

    bundle.args("/bin/true")
    name = runtime.new_id()
    before, others = (len(os.listdir("/proc/self/fd")), mounts()), inits()
    for _ in range(500 // support.EVERY):
        with pyrunc.Container.create(str(bundle.path), name, root=str(runtime.root)) as box:
            box.start()
            assert box.wait(timeout=30).code == 0
    assert (len(os.listdir("/proc/self/fd")), mounts()) == before
    no_more_inits_than(others)
    assert not list(runtime.root.iterdir())
    assert not support.cgroups_named(name)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def mounts():
    with open("/proc/self/mountinfo") as file:
        return len(file.readlines())
