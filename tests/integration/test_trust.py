# SPDX-License-Identifier: Apache-2.0
"""Whose state is believed, and of which boot: root follows what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pyrunc import Container, PyruncError
from pyrunc.lifecycle import store
from tests.lib.cgroup_tools import LAYOUT
from tests.lib.support import in_time, put

COMMANDS = {
    "state": ["state"],
    "start": ["start"],
    "kill": ["kill", "NAME", "KILL"],
    "delete": ["delete"],
    "delete -f": ["delete", "-f"],
    "exec": ["exec", "NAME", "true"],
    "ps": ["ps"],
    "pause": ["pause"],
    "resume": ["resume"],
    "update": ["update", "--pids-limit", "5"],
    "events": ["events", "--stats"],
    "list": ["list"],
}


def line(command: str, name: str) -> list[str]:
    words = COMMANDS[command]
    if command == "list":
        return words
    return [name if w == "NAME" else w for w in words] if "NAME" in words else [*words, name]


@pytest.fixture(autouse=True)
def lasting(bundle):
    bundle.args("sleep", "1000")


@pytest.fixture
def victim():
    """A process of the host that is no container."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def forged(runtime, bundle, victim, tmp_path):
    """A container's state in which somebody has put another process and a hook of his."""
    name = put(runtime, bundle, "running")
    path = runtime.root / name
    shutil.copytree(path, tmp_path / "saved", ignore=shutil.ignore_patterns("exec.fifo"))
    state = json.loads((path / "state.json").read_text())
    with open(f"/proc/{victim.pid}/stat") as file:
        start = int(file.read().rpartition(")")[2].split()[19])
    hooks = {"poststop": [{"path": "/bin/touch", "args": ["touch", str(tmp_path / "hooked")]}]}
    state |= {"pid": victim.pid, "startTime": start, "hooks": hooks}
    (path / "state.json").write_text(json.dumps(state))
    yield name
    os.chown(runtime.root, 0, 0)
    os.chmod(runtime.root, 0o700)
    os.chown(path, 0, 0)
    os.chmod(path, 0o711)
    shutil.copytree(tmp_path / "saved", path, dirs_exist_ok=True)
    runtime("delete", "-f", name)


HOW = {
    "root of another": lambda root, entry: os.chown(root, 1000, 1000),
    "root for a group": lambda root, entry: os.chmod(root, 0o770),
    "root for all": lambda root, entry: os.chmod(root, 0o777),
    "entry of another": lambda root, entry: os.chown(entry, 1000, 1000),
    "entry for all": lambda root, entry: os.chmod(entry, 0o777),
}


@pytest.mark.parametrize("how", HOW)
def test_state_that_others_can_write_is_not_believed(runtime, forged, victim, tmp_path, how):
    HOW[how](runtime.root, runtime.root / forged)
    for command in COMMANDS:
        if command == "list" and how.startswith("entry"):
            continue  # it goes on with the others, and says which one it leaves out
        done = runtime(*line(command, forged), check=False)
        assert done.returncode in (1, 255), command
        assert "can be written to by others" in done.stderr or "belongs to uid 1000" in done.stderr
        assert done.stderr.count("\n") == 1, command
    assert victim.poll() is None
    assert not (tmp_path / "hooked").exists()
    assert (runtime.root / forged).exists()


def test_create_in_a_root_of_another(runtime, bundle):
    runtime.root.mkdir(exist_ok=True)
    os.chown(runtime.root, 1000, 1000)
    done = runtime("create", "-b", str(bundle.path), "one", check=False)
    os.chown(runtime.root, 0, 0)
    assert done.returncode == 1
    assert "belongs to uid 1000" in done.stderr
    assert not os.listdir(runtime.root)


def test_a_root_everybody_can_add_to(runtime, bundle):
    """As /tmp is: with the sticky bit nobody can replace what is another's."""
    runtime.root.mkdir(exist_ok=True)
    os.chmod(runtime.root, 0o1777)
    name = runtime.create(bundle)
    assert runtime.state(name)["status"] == "created"
    runtime("delete", "-f", name)


def test_state_of_another_boot(runtime, bundle, victim):
    """On a disk it survives; the pid in it is anybody's by then."""
    name = put(runtime, bundle, "running")
    path = runtime.root / name / "state.json"
    before = path.read_text()
    state = json.loads(before)
    assert len(state["boot"]) == 36
    with open(f"/proc/{victim.pid}/stat") as file:
        start = int(file.read().rpartition(")")[2].split()[19])
    path.write_text(json.dumps(state | {"pid": victim.pid, "startTime": start, "boot": "other"}))
    assert runtime.state(name)["status"] == "stopped"
    refused = runtime("kill", name, "KILL", check=False)
    assert (refused.returncode, "container not running" in refused.stderr) == (1, True)
    # Its cgroup is that of the container, which lives here all the same.
    path.write_text(before)
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    path.write_text(json.dumps(state | {"pid": victim.pid, "startTime": start, "boot": "other"}))
    runtime("delete", "-f", name)
    assert victim.poll() is None


def test_a_container_of_runc(runtime, runc, bundle):
    """In the same root it is not called damaged: who follows that advice would lose it."""
    name = put(runc, bundle, "running")
    runtime.root = runc.root
    for command in COMMANDS:
        if command == "list":
            continue
        done = runtime(*line(command, name), check=False)
        assert done.returncode in (1, 255)
        assert f"container {name} is runc's, not pyrunc's" in done.stderr
    assert runc.state(name)["status"] == "running"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid":', "\0", '{"pid": "x"}'])
def test_a_damaged_state(runtime, bundle, text):
    name = put(runtime, bundle, "stopped")
    (runtime.root / name / "state.json").write_text(text)
    done = runtime("state", name, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    runtime("delete", "--force", name)
    assert not (runtime.root / name).exists()


def test_a_torn_line_of_the_journal(tmp_path):
    """A full disk cuts it; what was noted before and after holds."""
    with store.create_entry(str(tmp_path / "root"), "one") as entry:
        entry.note(first=1)
        with open(tmp_path / "root" / "one" / "journal", "a") as file:
            file.write('{"cgro')
        entry.note(second=2)
        entry.note(third=3)
        assert entry.journal() == {"first": 1, "third": 3}


def test_load_keeps_hold_of_the_process(runtime, bundle):
    """`wait` is told of an end that came after `load`, though it was no child."""
    name = put(runtime, bundle, "running")
    container = Container.load(name, root=str(runtime.root))
    container.kill(9)
    # With a code where this kernel tells it to who is no parent (PIDFD_INFO_EXIT, 6.15).
    assert container.wait(10).code in (137, None)
    in_time(lambda: runtime.state(name)["status"] == "stopped")
    with pytest.raises(PyruncError, match="container not running"):
        container.kill(15)


def test_kill_of_a_dead_container_with_a_shared_pid_namespace(runtime, bundle):
    """Nobody is left to kill: as newer runc, and `podman pod kill`, see it. 1.1.5 says 1."""
    kinds = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [ns for ns in kinds if ns["type"] != "pid"]
    name = put(runtime, bundle.write(), "stopped")
    done = runtime("kill", name, "KILL", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert runtime("kill", name, "TERM", check=False).returncode == 1


@pytest.mark.parametrize("arguments", [("KILL",), ("--all", "TERM")])
def test_kill_of_an_init_that_has_left_its_cgroup(runtime, bundle, arguments):
    """Its cgroup is empty, and it lives: silence would be a lie."""
    del_pid = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "pid"]
    bundle.config["linux"]["namespaces"] = del_pid
    name = runtime.create(bundle.shell("trap 'exit 0' TERM; while :; do sleep 0.05; done"))
    runtime("start", name)
    pid = runtime.state(name)["pid"]
    for hierarchy in LAYOUT.hierarchies:
        Path(hierarchy.mount, "cgroup.procs").write_text(str(pid))
    *options, number = arguments
    runtime("kill", *options, name, number)
    runtime.until(name, "stopped")
