# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore, with the real CRIU: only in the guest."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support
from tests.lib.support import receive

# With no file of a bind mount open while it waits.
WAITING = "while [ ! -e /shared/go ]; do sleep 0.02; done; echo >/shared/went; sleep 1000"
COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /dev/shm/n; sleep 0.02; done"


@pytest.fixture
def counting(runtime, bundle):
    """A container that counts; and what asks it how far it is."""
    bundle.config["process"]["terminal"] = False
    name = runtime.create(bundle.shell(COUNTER))
    runtime("start", name)
    until(runtime, name, 5)
    return name


def count(runtime, name) -> int:
    # The shell truncates the file before it writes.
    for _ in range(100):
        text = runtime("exec", name, "/bin/cat", "/dev/shm/n").stdout
        if text.strip():
            return int(text)
    raise AssertionError("no number")


def until(runtime, name, more) -> int:
    deadline = time.monotonic() + 20 * support.SLOW
    while True:
        state = runtime("exec", name, "/bin/cat", "/dev/shm/n", check=False)
        if state.stdout.strip() and int(state.stdout) >= more:
            return int(state.stdout)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def quietly(runtime, *args):
    """Without pipes, which a restored container would keep open."""
    with open(os.devnull, "r+b") as null:
        return subprocess.run(
            [runtime.program, "--root", str(runtime.root), *args],
            check=True, stdin=null, stdout=null, stderr=null, timeout=120 * support.SLOW,
        )  # fmt: skip


def nothing_left(runtime, name):
    assert not (runtime.root / name).exists()
    assert not support.cgroups_named(name)
    assert "criu" not in Path("/proc/self/mountinfo").read_text()


def test_a_counter_goes_on(runtime, bundle, counting, tmp_path):
    image = str(tmp_path / "image")
    before = count(runtime, counting)
    runtime("checkpoint", "--image-path", image, counting)
    nothing_left(runtime, counting)
    done = runtime("delete", counting, check=False)
    assert "container does not exist" in done.stderr
    quietly(runtime, "restore", "-d", "--image-path", image, "-b", str(bundle.path),
            "--pid-file", str(tmp_path / "pid"), counting)  # fmt: skip
    state = runtime.state(counting)
    assert state["status"] == "running"
    assert (tmp_path / "pid").read_text() == str(state["pid"])
    after = until(runtime, counting, before + 5)
    assert after > before
    # All that a container can do it can still do.
    runtime("pause", counting)
    assert runtime.state(counting)["status"] == "paused"
    runtime("resume", counting)
    assert counting in Path(f"/proc/{state['pid']}/cgroup").read_text()
    runtime("kill", counting, "KILL")
    runtime.until(counting, "stopped")
    runtime("delete", counting)
    nothing_left(runtime, counting)


def test_leave_running(runtime, bundle, counting, tmp_path):
    image = str(tmp_path / "image")
    runtime("checkpoint", "--leave-running", "--image-path", image, counting)
    # It goes on, and what happens to it from here on is not in the image.
    until(runtime, counting, count(runtime, counting) + 5)
    runtime("exec", counting, "/bin/touch", "/dev/shm/later")
    other = runtime.new_id()
    runtime("delete", "--force", counting)
    quietly(runtime, "restore", "-d", "--image-path", image, "-b", str(bundle.path), other)
    assert count(runtime, other) > 0
    assert runtime("exec", other, "/bin/ls", "/dev/shm").stdout.split() == ["n"]


def test_a_terminal(runtime, bundle, tmp_path):
    bundle.config["process"]["terminal"] = True
    bundle.shell("while read x; do echo got $x; done")
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    name = runtime.create(bundle, None, "--console-socket", path)
    master = receive(listener)
    runtime("start", name)
    say(master, b"one")
    image = str(tmp_path / "image")
    runtime("checkpoint", "--image-path", image, name)
    os.close(master)
    quietly(runtime, "restore", "-d", "--image-path", image, "-b", str(bundle.path),
            "--console-socket", path, name)  # fmt: skip
    master = receive(listener)
    say(master, b"two")
    os.close(master)
    listener.close()


def say(master, word):
    os.write(master, word + b"\n")
    seen, wanted = b"", b"got " + word
    while wanted not in seen:
        ready, _, _ = select.select([master], [], [], 20 * support.SLOW)
        assert ready, seen
        seen += os.read(master, 4096)


def test_in_the_foreground(runtime, bundle, tmp_path):
    """Pipes of whoever restores come in the place of those that were there."""
    script = "while [ ! -e /dev/shm/go ]; do sleep 0.02; done; echo gone on; exit 7"
    name = runtime.new_id()
    first = subprocess.Popen(
        [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.shell(script).path),
         name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 20 * support.SLOW
    while runtime("state", name, check=False).returncode or (
        runtime.state(name)["status"] != "running"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    image = str(tmp_path / "image")
    runtime("checkpoint", "--image-path", image, name)
    first.communicate(timeout=60)
    again = subprocess.Popen(
        [runtime.program, "--root", str(runtime.root), "restore", "--image-path", image, "-b",
         str(bundle.path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    while runtime("exec", name, "/bin/touch", "/dev/shm/go", check=False).returncode:
        assert time.monotonic() < deadline + 60 * support.SLOW
        time.sleep(0.05)
    out, err = again.communicate(timeout=60)
    assert (out, err, again.returncode) == (b"gone on\n", b"", 7)
    nothing_left(runtime, name)


def test_binds_hooks_and_a_network_from_outside(runtime, bundle, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    single = tmp_path / "single"
    single.write_text("one file")
    mark = tmp_path / "mark"
    bundle.config["mounts"] += [
        {"destination": "/shared", "source": str(shared), "options": ["rbind", "rw"]},
        {"destination": "/etc/single", "source": str(single), "options": ["bind", "ro"]},
    ]
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >>{mark}"], "env": ["PATH=/bin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    namespace = tmp_path.name.replace("_", "-")[:20]
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        for entry in bundle.config["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = f"/run/netns/{namespace}"
        name = runtime.create(bundle.shell(WAITING))
        runtime("start", name)
        image = str(tmp_path / "image")
        runtime("checkpoint", "--image-path", image, "--work-path", str(tmp_path / "w"), name)
        assert (tmp_path / "w" / "dump.log").exists()
        # Elsewhere, and without the mount points that the first creation made.
        moved = bundle.path.with_name("moved")
        bundle.path.rename(moved)
        shutil.rmtree(moved / "rootfs/shared")
        (moved / "rootfs/etc/single").unlink()
        quietly(runtime, "restore", "-d", "--image-path", image, "-b", str(moved), name)
        pid = runtime.state(name)["pid"]
        assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(f"/run/netns/{namespace}").st_ino
        (shared / "go").write_text("")
        deadline = time.monotonic() + 20 * support.SLOW
        while not (shared / "went").exists():
            assert time.monotonic() < deadline
        assert runtime("exec", name, "/bin/cat", "/etc/single").stdout == "one file"
        states = mark.read_text().replace("}{", "}\n{").splitlines()
        assert len(states) == 2
        assert json.loads(states[1])["pid"] == pid
        runtime("delete", "--force", name)
    finally:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)


def test_memory_first(runtime, bundle, counting, tmp_path):
    runtime("checkpoint", "--pre-dump", "--image-path", str(tmp_path / "parent"), counting)
    assert runtime.state(counting)["status"] == "running"
    before = until(runtime, counting, count(runtime, counting) + 5)
    image = str(tmp_path / "image")
    runtime("checkpoint", "--image-path", image, "--parent-path", "../parent", counting)
    assert (tmp_path / "image/parent").is_symlink()
    quietly(runtime, "restore", "-d", "--image-path", image, "-b", str(bundle.path), counting)
    until(runtime, counting, before + 5)


def test_systemd_makes_the_cgroup_again(runtime, bundle, tmp_path):
    name = runtime.new_id()
    bundle.config["linux"]["cgroupsPath"] = f"system.slice:pyrunc-test:{name}"
    bundle.config["linux"]["resources"] = {"pids": {"limit": 77}}
    prefix = [runtime.program, "--root", str(runtime.root), "--systemd-cgroup"]
    with open(os.devnull, "r+b") as null:
        subprocess.run([*prefix, "run", "-d", "-b", str(bundle.shell(COUNTER).path), name],
                       check=True, stdin=null, stdout=null, stderr=null)  # fmt: skip
        before = until(runtime, name, 5)
        image = str(tmp_path / "image")
        runtime("checkpoint", "--image-path", image, name)
        subprocess.run([*prefix, "restore", "-d", "--image-path", image, "-b", str(bundle.path),
                        name], check=True, stdin=null, stdout=null, stderr=null)  # fmt: skip
    until(runtime, name, before + 5)
    unit = f"pyrunc-test-{name}.scope"
    shown = subprocess.run(["systemctl", "show", "-p", "TasksMax,ActiveState", unit], check=True,
                           capture_output=True, text=True).stdout  # fmt: skip
    assert "TasksMax=77" in shown
    assert "ActiveState=active" in shown
    runtime("delete", "--force", name)
    assert (
        "ActiveState=inactive"
        in subprocess.run(
            ["systemctl", "show", "-p", "ActiveState", unit],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )


def test_states_that_cannot_be_stored(runtime, bundle, tmp_path):
    name = runtime.create(bundle.args("/bin/true"))
    for status in ("created", "stopped"):
        done = runtime("checkpoint", "--image-path", str(tmp_path / "i"), name, check=False)
        assert done.returncode == 1
        assert f"Container cannot be checkpointed in {status} state" in done.stderr
        assert not (tmp_path / "i").exists()
        if status == "created":
            runtime("start", name)
            runtime.until(name, "stopped")
    done = runtime("checkpoint", "nosuch", check=False)
    assert "container does not exist" in done.stderr


def test_a_paused_container(runtime, bundle, counting, tmp_path):
    runtime("pause", counting)
    image = str(tmp_path / "image")
    runtime("checkpoint", "--leave-running", "--image-path", image, counting)
    runtime("resume", counting)
    until(runtime, counting, count(runtime, counting) + 5)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--parent-path", "/absolute"), "--parent-path must be relative"),
        (("--parent-path", "../nosuch"), "no such file or directory"),
        (("--manage-cgroups-mode", "odd"), "invalid manage-cgroups-mode value"),
        (("--empty-ns", "uts"), "not supported in empty-ns"),
        (("--page-server", "nowhere"), "ADDRESS:PORT"),
        (("--lazy-pages", "--status-fd", "77"), "invalid --status-fd argument 77"),
    ],
)
def test_bad_options(runtime, counting, tmp_path, option, text):
    done = runtime("checkpoint", "--image-path", str(tmp_path / "i"), *option, counting,
                   check=False)  # fmt: skip
    assert done.returncode == 1
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert runtime.state(counting)["status"] == "running"


def test_bad_images(runtime, bundle, counting, tmp_path):
    """One line, exit 1, nothing left; and whatever was there before lives on."""
    image = tmp_path / "image"
    runtime("checkpoint", "--image-path", str(image), counting)

    def restored(path) -> str:
        done = runtime("restore", "-d", "--image-path", str(path), "-b", str(bundle.path),
                       counting, check=False)  # fmt: skip
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert done.stdout == ""
        nothing_left(runtime, counting)
        return line

    assert "no such file or directory" in restored(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "no such file or directory" in restored(tmp_path / "empty")
    for name, size in (("pstree.img", 10), ("inventory.img", 3), ("descriptors.json", 2)):
        damaged = tmp_path / f"damaged-{name}"
        shutil.copytree(image, damaged)
        with open(damaged / name, "r+b") as file:
            file.truncate(size)
        line = restored(damaged)
        assert "criu failed: type" in line or "descriptors.json" in line
    # What is whole still serves.
    quietly(runtime, "restore", "-d", "--image-path", str(image), "-b", str(bundle.path), counting)
    until(runtime, counting, 1)
    done = runtime("restore", "-d", "--image-path", str(image), "-b", str(bundle.path), counting,
                   check=False)  # fmt: skip
    assert "container with given ID already exists" in done.stderr
    until(runtime, counting, 1)


def test_an_image_decides_nothing(runtime, bundle, counting, tmp_path):
    """What its own files say beside CRIU's is data: a name of a pipe, or nothing."""
    image = tmp_path / "image"
    runtime("checkpoint", "--image-path", str(image), counting)
    for names in (["/etc/shadow"] * 3, ["x"] * 300, []):
        (image / "descriptors.json").write_text(json.dumps(names))
        quietly(runtime, "restore", "-d", "--image-path", str(image), "-b", str(bundle.path),
                counting)  # fmt: skip
        pid = runtime.state(counting)["pid"]
        found = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert set(found) == {"/dev/null"}
        runtime("delete", "--force", counting)
    for odd in ({"a": 1}, [1, 2], "text"):
        (image / "descriptors.json").write_text(json.dumps(odd))
        done = runtime("restore", "-d", "--image-path", str(image), "-b", str(bundle.path),
                       counting, check=False)  # fmt: skip
        assert "descriptors.json is damaged" in done.stderr
        nothing_left(runtime, counting)


def test_without_criu(runtime, bundle, counting, tmp_path):
    command = [runtime.program, "--root", str(runtime.root), "checkpoint", "--image-path",
               str(tmp_path / "i"), counting]  # fmt: skip
    done = subprocess.run(command, env={"PATH": "/nowhere"}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)  # fmt: skip
    assert done.returncode == 1
    assert 'exec: \\"criu\\": executable file not found in $PATH' in done.stderr
    assert runtime.state(counting)["status"] == "running"


def test_by_the_library(runtime, bundle, tmp_path):
    null = os.open(os.devnull, os.O_RDWR)
    try:
        made = pyrunc.Container.create(
            str(bundle.shell(COUNTER).path), runtime.new_id(), root=str(runtime.root),
            stdio=(null, null, null),
        )  # fmt: skip
        made.start()
        before = until(runtime, made.id, 5)
        made.checkpoint(str(tmp_path / "image"))
        with pyrunc.Container.restore(
            str(bundle.path), made.id, str(tmp_path / "image"), root=str(runtime.root),
            stdio=(null, null, null),
        ) as again:  # fmt: skip
            assert again.status == "running"
            assert until(runtime, again.id, before + 5)
            again.kill(9)
            assert again.wait().signal == 9
        nothing_left(runtime, made.id)
    finally:
        os.close(null)
