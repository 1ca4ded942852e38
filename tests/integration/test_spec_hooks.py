# SPDX-License-Identifier: Apache-2.0
"""Every property of `hooks`, and what each hook's failure does."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lib import support

ALL = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
INSIDE = ("createContainer", "startContainer")
AT_CREATE = ("prestart", "createRuntime", "createContainer")


def hook(bundle, name: str, script: str, **members) -> None:
    """Add a hook that runs a script of the shell, as the host or the container has it."""
    made = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}
    bundle.config.setdefault("hooks", {}).setdefault(name, []).append(made | members)


def log_of(bundle) -> Path:
    """A file that hooks of both sides can write: in the rootfs, under two names."""
    path = bundle.rootfs / "log"
    path.touch()
    bundle.config["root"]["readonly"] = False
    return path


def place(bundle, name: str) -> str:
    return "/log" if name == "startContainer" else str(bundle.rootfs / "log")


def life(runtime, bundle) -> str:
    """Create, start, kill and delete; the id."""
    bundle.args("/bin/sleep", "1000")
    name = runtime.create(bundle)
    runtime("start", name)
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    runtime("delete", name)
    return name


def test_hooks_run_in_the_order_of_a_life(runtime, bundle):
    log = log_of(bundle)
    for name in reversed(ALL):
        for number in (1, 2):
            hook(bundle, name, f"echo {name}{number} >> {place(bundle, name)}")
    life(runtime, bundle)
    assert log.read_text().split() == [f"{name}{number}" for name in ALL for number in (1, 2)]


@pytest.mark.parametrize("name", ALL)
def test_a_hook_gets_its_arguments_environment_and_the_state(runtime, bundle, name):
    log = log_of(bundle)
    where = place(bundle, name)
    bundle.config["annotations"] = {"org.example.key": "value"}
    hook(bundle, name, f"(echo $0 $1; env; cat) > {where}", env=["ONE=1", "PATH=/usr/bin:/bin"])
    bundle.config["hooks"][name][0]["args"] += ["sh", "first"]
    made = life(runtime, bundle)
    lines = log.read_text().splitlines()
    assert lines[0] == "sh first"
    assert {"ONE=1"} <= set(lines[1:-1])
    assert {line.partition("=")[0] for line in lines[1:-1]} <= {"ONE", "PATH", "PWD", "SHLVL", "_"}
    state = json.loads(lines[-1])
    assert state["id"] == made
    assert state["bundle"] == str(bundle.path)
    assert state["annotations"] == {"org.example.key": "value"}
    expected = {
        "prestart": "created", "startContainer": "created",
        "poststart": "running", "poststop": "stopped",
    }  # fmt: skip
    assert state["status"] == expected.get(name, "creating")
    assert ("pid" in state) == (name != "poststop")
    if name in INSIDE:
        assert state["pid"] == 1


@pytest.mark.parametrize("name", ALL)
def test_a_hook_runs_in_the_namespaces_of_its_side(runtime, bundle, name):
    log = log_of(bundle)
    hook(bundle, name, f"(cd /proc/self/ns; readlink mnt; readlink pid) > {place(bundle, name)}")
    if name == "createContainer":
        # There /proc is still the host's, and has no process of this pid namespace.
        script = f"cat /proc/self/mountinfo > {place(bundle, name)}; test $$ -lt 5"
        bundle.config["hooks"][name][0]["args"][2] = script
    life(runtime, bundle)
    mine = [os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/pid")]
    if name == "createContainer":
        assert f" {bundle.rootfs}/proc " in log.read_text()
        assert f" {bundle.rootfs}/proc " not in Path("/proc/self/mountinfo").read_text()
    elif name == "startContainer":
        assert not set(mine) & set(log.read_text().split())
    else:
        assert log.read_text().split() == mine


def test_a_hook_without_arguments_gets_its_path(runtime, bundle):
    log = log_of(bundle)
    program = bundle.path / "hook.sh"
    program.write_text(f"#!/bin/sh\necho $0 $# > {log}\n")
    program.chmod(0o755)
    bundle.config["hooks"] = {"prestart": [{"path": str(program)}]}
    life(runtime, bundle)
    assert log.read_text().split() == [str(program), "0"]


def test_env_that_is_missing(runtime, bundle):
    """The runtime's own outside, none in createContainer, the process's in startContainer."""
    log = log_of(bundle)
    bundle.config["process"]["env"] = ["PATH=/bin", "MINE=1"]
    for name in ("createRuntime", "createContainer", "startContainer"):
        hook(bundle, name, f"echo {name} $MINE $CALLERS >> {place(bundle, name)}")
        del bundle.config["hooks"][name][0]["env"]
    done = runtime.run(bundle.args("/bin/true"), env={**os.environ, "CALLERS": "c"})
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == [
        "createRuntime c", "createContainer", "startContainer 1",
    ]  # fmt: skip


def nothing_left(runtime) -> bool:
    held = [name for name in os.listdir(runtime.root) if not name.startswith(":")]
    return not held and not any(support.cgroups_named(name) for name in runtime.ids)


@pytest.mark.parametrize("name", AT_CREATE)
def test_a_hook_that_fails_ends_the_create(runtime, bundle, name):
    """Its own exit and output are the reason; the poststop hooks still run."""
    log = log_of(bundle)
    hook(bundle, name, "echo the reason; exit 3")
    hook(bundle, name, f"echo not reached >> {log}")
    hook(bundle, "poststop", f"echo poststop >> {log}")
    done = runtime("create", "-b", str(bundle.write().path), runtime.new_id(), check=False)
    assert done.returncode == 1
    assert "exit status 3" in done.stderr
    assert f"{name} hook" in done.stderr
    assert "the reason" in done.stderr or name == "createContainer"
    assert log.read_text() == "poststop\n"
    assert nothing_left(runtime)


def test_a_start_container_hook_that_fails(runtime, bundle):
    """The program never runs, and the container stops."""
    log = log_of(bundle)
    hook(bundle, "startContainer", "exit 4")
    name = runtime.create(bundle.shell("echo ran >> /log"))
    runtime("start", name, check=False)
    runtime.until(name, "stopped")
    runtime("delete", name)
    assert log.read_text() == ""


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"script": "echo the output; exit 4"}, "exit status 4"),
        ({"script": "kill -9 $$"}, "signal 9"),
        ({"script": "sleep 15", "timeout": 1}, "ran past its timeout of 1s"),
        ({"script": "", "path": "/nosuch"}, "o such file or directory"),
    ],
)
def test_a_start_container_hook_that_fails_says_so(runtime, bundle, more, reason):
    """On the container's stderr, as the program's own failure does; its code is 255."""
    hook(bundle, "startContainer", more.pop("script"), **more)
    done = runtime.run(bundle.shell("echo ran"))
    assert done.returncode == 255
    lines = done.stderr.splitlines() + done.stdout.splitlines()
    [line] = [line for line in lines if line != "the output"]
    assert line.startswith("error running startContainer hook #0: ")
    assert reason in line


def test_a_poststart_hook_that_fails(runtime, bundle):
    """runtime.md, "Lifecycle" 9: an error, and the container is undone."""
    log = log_of(bundle)
    hook(bundle, "poststop", f"echo poststop >> {log}")
    hook(bundle, "poststart", "echo the reason; exit 5")
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    pid = runtime.state(name)["pid"]
    done = runtime("start", name, check=False)
    assert done.returncode == 1
    assert "exit status 5" in done.stderr
    assert "the reason" in done.stderr
    deadline = time.monotonic() + 10 * support.SLOW
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert log.read_text() == "poststop\n"
    assert nothing_left(runtime)
    assert not support.cgroups_named(name)


ACTS = {
    "update": "update --pids-limit 77 NAME",
    "pause": "pause NAME",
    "kill": "kill NAME USR1",
    "exec": "exec NAME true",
    "state": "state NAME",
}


@pytest.mark.parametrize("act", ACTS)
def test_a_poststart_hook_acts_on_its_container(runtime, bundle, act):
    """The lock is not held in the meantime: no command waits for one that waits for it."""
    log = log_of(bundle)
    name = runtime.new_id()
    command = f"{runtime.program} --root {runtime.root} {ACTS[act].replace('NAME', name)}"
    hook(bundle, "poststart", f"{command} > {log} 2>&1 </dev/null || echo failed >> {log}")
    bundle.shell("trap : USR1; while :; do sleep 0.1; done")
    runtime.create(bundle, name)
    begun = time.monotonic()
    runtime("start", name)
    assert "failed" not in log.read_text()
    assert time.monotonic() - begun < 10 * support.SLOW, "it waited for the lock"
    assert runtime.state(name)["status"] == ("paused" if act == "pause" else "running")
    if act == "pause":
        runtime("resume", name)


def test_a_poststart_hook_deletes_its_container(runtime, bundle):
    name = runtime.new_id()
    hook(bundle, "poststart", f"{runtime.program} --root {runtime.root} delete -f {name}")
    runtime.create(bundle.args("/bin/sleep", "1000"), name)
    runtime("start", name)
    assert nothing_left(runtime)


@pytest.mark.parametrize("act", ["delete --force", "start", "update --pids-limit 5", "pause"])
def test_a_hook_of_create_is_refused_at_once(runtime, bundle, act):
    """Its container is not complete, and the command that creates it waits for the hook."""
    log = log_of(bundle)
    name = runtime.new_id()
    command = f"{runtime.program} --root {runtime.root} {act} {name}"
    hook(bundle, "createRuntime", f"{command} > {log} 2>&1; echo code $? >> {log}")
    begun = time.monotonic()
    runtime.create(bundle.args("/bin/sleep", "1000"), name)
    assert time.monotonic() - begun < 10 * support.SLOW, "it waited for the lock"
    said = log.read_text()
    if act in ("delete --force", "start"):
        assert f"container {name} is being changed by process " in said
    else:
        assert "container does not exist" in said
    assert said.endswith("code 1\n")
    runtime("start", name)


@pytest.mark.parametrize("code", [0, 1])
def test_start_waits_for_a_create_under_way(runtime, bundle, tmp_path, code):
    """Started a fixed time after a `create` in the background, as youki's contest does it."""
    hook(bundle, "createRuntime", f"touch {tmp_path}/begun; sleep 1; exit {code}")
    name = runtime.new_id()
    place = str(bundle.args("/bin/sleep", "1000").write().path)
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with runtime.spawn("create", "-b", place, name, **nowhere) as create:
        support.in_time((tmp_path / "begun").exists)
        started = runtime("start", name, check=False)
        assert started.returncode == code
        assert create.wait() == code
    if code:
        assert "container does not exist" in started.stderr
    else:
        assert runtime.state(name)["status"] == "running"


def test_a_poststop_hook_that_fails_is_a_warning(runtime, bundle):
    """All others run, and the container is gone."""
    log = log_of(bundle)
    hook(bundle, "poststop", "exit 6")
    hook(bundle, "poststop", f"echo second >> {log}")
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    done = runtime("delete", "--force", name)
    assert done.returncode == 0
    assert "exit status 6" in done.stderr
    assert log.read_text() == "second\n"
    assert nothing_left(runtime)


@pytest.mark.parametrize("name", ["createRuntime", "createContainer"])
def test_a_hook_that_takes_too_long_is_killed(runtime, bundle, name):
    # Long enough for a slow machine, and it would end well if it were let.
    hook(bundle, name, "sleep 15", timeout=1)
    done = runtime("create", "-b", str(bundle.write().path), runtime.new_id(), check=False)
    assert done.returncode == 1
    assert "timeout of 1s" in done.stderr
    assert nothing_left(runtime)


def test_a_path_that_is_no_program(runtime, bundle):
    hook(bundle, "prestart", "", path="/nosuch")
    done = runtime("create", "-b", str(bundle.write().path), runtime.new_id(), check=False)
    assert done.returncode == 1
    assert "/nosuch" in done.stderr
    assert "no such file" in done.stderr
