# SPDX-License-Identifier: Apache-2.0
"""What the launcher does without Python is what Python would have done (docs/design.md 40)."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import support


def commands(runtime, tmp_path, *args, **options):
    """A run of the command line, and how many programs it executed."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-e", "trace=execve", "-o", str(trace)]
    done = subprocess.run(
        [*strace, runtime.program, "--root", str(runtime.root), *args], check=False,
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **options,
    )  # fmt: skip
    executed = [line for line in trace.read_text().splitlines() if line.endswith("= 0")]
    return done, len([line for line in executed if "execve(" in line])


@pytest.fixture
def quick(runtime, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    return lambda *args, **options: commands(runtime, tmp_path, *args, **options)


@pytest.fixture
def created(runtime, bundle):
    return runtime.create(bundle.args("/bin/sleep", "1000"))


def by_python(runtime, name, *args):
    """The same with the answers out of the way."""
    path = runtime.root / name / "quick"
    path.rename(path.with_name("away"))
    try:
        return runtime(*args, check=False)
    finally:
        path.with_name("away").rename(path)


def test_state_in_every_state(runtime, bundle, quick):
    bundle.config["annotations"] = {"pid": '"pid": 0', "status": '"status": "@"', "é": "ü\n"}
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    for prepare, programs in (
        (lambda: None, 1),
        (lambda: runtime("start", name), 1),
        (lambda: runtime("pause", name), 2),
        (lambda: (runtime("resume", name), runtime("kill", name, "9"),
                  runtime.until(name, "stopped")), 1),
    ):  # fmt: skip
        prepare()
        done, executed = quick("state", name)
        again = by_python(runtime, name, "state", name)
        assert (done.stdout, done.stderr) == (again.stdout, again.stderr)
        assert done.returncode == again.returncode == 0
        assert executed == programs


def test_a_whole_life(runtime, quick, created):
    for args in (("start", created), ("kill", created, "0"), ("kill", created, "SIGKILL")):
        done, executed = quick(*args)
        assert (done.returncode, done.stdout, done.stderr, executed) == (0, "", "", 1)
    runtime.until(created, "stopped")
    done, executed = quick("kill", created, "15")
    assert (done.returncode, executed) == (1, 2)
    assert "container not running" in done.stderr
    done, executed = quick("delete", created)
    assert (done.returncode, done.stdout, done.stderr, executed) == (0, "", "", 1)
    assert not (runtime.root / created).exists()
    assert not support.cgroups_named(created)
    done, executed = quick("delete", created)
    assert (done.returncode, executed) == (1, 2)
    assert "container does not exist" in done.stderr


def test_pause_and_resume(runtime, bundle, quick, tmp_path):
    name = runtime.create(bundle.shell("while :; do sleep 0.01; done"))
    for begin in (lambda: None, lambda: runtime("start", name)):
        begin()
        before = runtime.state(name)["status"]
        done, executed = quick("pause", name)
        assert (done.returncode, done.stdout, done.stderr, executed) == (0, "", "", 1)
        assert runtime.state(name)["status"] == "paused"
        done, executed = quick("pause", name)
        assert (done.returncode, executed) == (1, 2)
        assert "container not running" in done.stderr
        done, executed = quick("resume", name)
        assert (done.returncode, done.stdout, done.stderr, executed) == (0, "", "", 1)
        assert runtime.state(name)["status"] == before
        done, executed = quick("resume", name)
        assert (done.returncode, executed) == (1, 2)
        assert "container not paused" in done.stderr
    # What one does the other undoes.
    quick("pause", name)
    assert by_python(runtime, name, "resume", name).returncode == 0
    by_python(runtime, name, "pause", name)
    assert quick("resume", name)[1] == 1
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    for command in ("pause", "resume"):
        assert quick(command, name)[0].returncode == 1


def test_who_is_busy_is_left_to_python(runtime, created, quick):
    """It waits for the lock, which the launcher does not."""
    # By another process: nobody waits for a lock of who waits for it (test_spec_hooks.py).
    holder = [
        "flock",
        str(runtime.root / created),
        "sh",
        "-c",
        f"echo; sleep {min(support.SLOW, 5)}",
    ]
    with subprocess.Popen(holder, stdout=subprocess.PIPE) as busy:
        assert busy.stdout
        busy.stdout.read(1)
        done, executed = quick("pause", created)
        assert (done.returncode, executed) == (0, 2)


@pytest.mark.parametrize("row", ["freeze", "frozen", "thawed", "own"])
def test_a_freezer_that_is_not_there(runtime, created, quick, row):
    """Python looks for itself, and the container is paused, or resumed, all the same."""
    path = runtime.root / created / "quick"
    before, mark, rest = path.read_bytes().partition(b"\n%s " % row.encode())
    assert mark
    size, _, rest = rest.partition(b"\n")
    gone = b"/nosuch\n1"
    path.write_bytes(before + mark + b"%d\n%s" % (len(gone), gone) + rest[int(size) :])
    for command, status in (("pause", "paused"), ("resume", "created")):
        done, _ = quick(command, created)
        assert (done.returncode, done.stderr) == (0, "")
        found = by_python(runtime, created, "state", created)
        assert json.loads(found.stdout)["status"] == status


@pytest.mark.parametrize("signal", ["TERM", "sigterm", "15", "SIGTERM", "Term", None])
def test_signals(runtime, bundle, quick, tmp_path, signal):
    log = tmp_path / "log"
    bundle.shell("trap 'exit 3' TERM; echo >/dev/shm/ready; while :; do sleep 0.02; done")
    bundle.config["mounts"].append(
        {"destination": "/dev/shm", "type": "bind", "source": str(tmp_path), "options": ["bind"]}
    )
    name = runtime.create(bundle.write())
    runtime("start", name)
    while not (tmp_path / "ready").exists():
        pass
    done, executed = quick("--log", str(log), "kill", name, *([signal] if signal else []))
    assert (done.returncode, executed) == (0, 1)
    runtime.until(name, "stopped")
    assert log.read_text() == ""


@pytest.mark.parametrize("signal", ["RTMIN", "nosuch", "-1", "65", "1e1", "9 "])
def test_signals_that_python_judges(runtime, quick, created, signal):
    done, executed = quick("kill", created, signal)
    assert executed == 2
    again = by_python(runtime, created, "kill", created, signal)
    assert done.returncode == again.returncode
    assert re.sub('time="[^"]*"', "", done.stderr) == re.sub('time="[^"]*"', "", again.stderr)


def test_start_wins_once(runtime, quick, created):
    done, executed = quick("start", created)
    assert (done.returncode, executed) == (0, 1)
    done, executed = quick("start", created)
    assert (done.returncode, executed) == (1, 2)
    assert "cannot start an already running container" in done.stderr


def test_ps(runtime, quick, created):
    done, executed = quick("ps", "--format", "json", created)
    assert executed == 1
    assert done.stdout == by_python(runtime, created, "ps", "-f", "json", created).stdout
    assert quick("ps", "-f", "json", created)[0].stdout == done.stdout
    for options in ((), ("-o", "pid,comm"), ("-o", "comm,pid", "-e")):
        done, executed = quick("ps", created, *options)
        again = by_python(runtime, created, "ps", created, *options)
        assert executed == 2  # itself and ps
        assert [line.split() for line in done.stdout.splitlines()][:1] == [
            line.split() for line in again.stdout.splitlines()
        ][:1]
        assert len(done.stdout.splitlines()) == len(again.stdout.splitlines())
    done, executed = quick("ps", created, "-o", "comm")
    again = by_python(runtime, created, "ps", created, "-o", "comm")
    assert done.returncode == again.returncode == 1
    assert "couldn't find PID field in ps output" in done.stderr


def test_what_a_container_asks_beyond_the_usual_python_does(runtime, bundle, quick, tmp_path):
    mark = tmp_path / "mark"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo ran >>{mark}"], "env": ["PATH=/bin"]}
    bundle.config["hooks"] = {"poststart": [hook], "poststop": [hook]}
    name = runtime.create(bundle.args("/bin/true"))
    assert quick("start", name)[1] > 1
    runtime.until(name, "stopped")
    assert quick("delete", name)[1] > 1
    assert mark.read_text() == "ran\nran\n"


def test_a_shared_pid_namespace_is_not_ended_by_its_init(runtime, bundle, quick):
    linux = bundle.config["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "pid"]
    name = runtime.create(bundle.shell("sleep 1000 & sleep 1000"))
    runtime("start", name)
    done, executed = quick("kill", name, "KILL")
    assert (done.returncode, executed) == (0, 2)
    runtime.until(name, "stopped")


@pytest.mark.parametrize(
    "args",
    [
        ("--debug", "state"),
        ("--root=relative", "state"),
        ("state", "--help"),
        ("--log-format", "xml", "state"),
        ("--cgroup-manager", "cgroupfs", "state"),
        ("-root", "/nosuch", "state"),
    ],
)
def test_other_options_are_pythons(quick, created, args):
    assert quick(*args, created)[1] == 2


def test_another_state_json_is_pythons(runtime, quick, created):
    """Whoever replaces or edits it is believed, and not what was written for the old one."""
    path = runtime.root / created / "state.json"
    text = path.read_text()
    path.write_text(text.replace('"ociVersion":"', '"ociVersion":"9'))
    done, executed = quick("state", created)
    assert executed == 2
    assert '"ociVersion": "91.' in done.stdout


def test_a_file_of_somebody_else_is_not_read(runtime, quick, created):
    directory = runtime.root / created
    directory.chmod(0o777)
    assert quick("state", created)[1] == 2
    directory.chmod(0o711)
    assert quick("state", created)[1] == 1
    (directory / "quick").rename(directory / "real")
    (directory / "quick").symlink_to("real")
    assert quick("state", created)[1] == 2


def test_a_process_of_the_same_pid_is_another(runtime, quick, created):
    path = runtime.root / created / "quick"
    data = path.read_bytes()
    [length, start] = re.findall(rb"start-time (\d+)\n(\d+)\n", data)[0]
    path.write_bytes(data.replace(start, str(int(start) + 1).zfill(int(length)).encode()))
    done, executed = quick("state", created)
    assert executed == 1
    assert '"status": "stopped"' in done.stdout
    assert '"pid": 0' in done.stdout
    path.write_bytes(data)


def test_a_damaged_file_is_pythons(runtime, created):
    """Cut, and with bytes exchanged: the launcher never dies of it, and the answer is right."""
    path = runtime.root / created / "quick"
    data = path.read_bytes()
    wanted = runtime("state", created).stdout
    chance = random.Random(1)
    structure = data.index(b"state-0")
    for number in range(max(60, 600 // support.EVERY)):
        damaged = bytearray(data)
        if number % 3 == 0:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(structure)] = chance.randrange(256)
        path.write_bytes(damaged)
        done = runtime("state", created, check=False)
        assert done.returncode == 0
        if b"start-time" not in damaged or done.stdout != wanted:
            # A number in it may have become another: then it is another process's.
            assert '"status": "stopped"' in done.stdout or done.stdout == wanted
    path.write_bytes(data)


def test_with_little_around_it(runtime, created):
    command = [runtime.program, "--root", str(runtime.root), "state", created]
    for environment in ({}, {"XDG_RUNTIME_DIR": ""}, {"USER": "x"}):
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False, timeout=60)  # fmt: skip
        assert done.returncode == 0
        assert created in done.stdout


def test_an_answer_that_nobody_takes(runtime, created):
    reader, writer = os.pipe()
    os.close(reader)
    command = [runtime.program, "--root", str(runtime.root), "state", created]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    os.close(writer)
    assert done.returncode != 0
    assert Path(runtime.root / created).exists()


@pytest.fixture
def busy(runtime, bundle):
    """A container with limits, that has used a little of everything."""
    bundle.config["linux"]["resources"] = {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 50},
        "cpu": {"quota": 50000, "period": 100000},
    }
    name = runtime.create(bundle.shell("dd if=/dev/zero of=/f bs=65536 count=9; sync; sleep 1000"))
    runtime("start", name)
    return name


def test_statistics(runtime, quick, busy):
    """Byte for byte what Python prints, as soon as nothing moves between the two."""
    first, executed = quick("events", "--stats", busy)
    assert executed == 2  # it has to be written down once for a state root
    written = runtime.root / ":stats"
    assert written.exists()
    runtime("pause", busy)
    for _ in range(30):
        done, executed = quick("events", "--stats", busy)
        assert executed == 1
        written.rename(written.with_name(":away"))
        again = runtime("events", "--stats", busy).stdout
        written.with_name(":away").rename(written)
        if done.stdout == again:
            break
    assert done.stdout == again
    found = json.loads(done.stdout)
    assert found["id"] == busy
    assert found["data"]["memory"]["usage"]["limit"] == 64 << 20
    assert found["data"]["pids"]["limit"] == 50
    # Again later: with other numbers, the same members.
    runtime("resume", busy)
    assert members(json.loads(quick("events", "--stats", busy)[0].stdout)) >= members(
        json.loads(first.stdout)
    )


def test_processes_that_no_controller_counts(runtime, quick, busy):
    """As on a cgroup v2 whose pids controller is elsewhere, or was not handed down."""
    runtime("events", "--stats", busy)
    written = runtime.root / ":stats"
    before, _, rest = written.read_text().partition("\nX ")
    file, _, rest = rest.partition("\n")
    assert file.endswith("/pids.current")
    after = rest[rest.index("\nC\n") :]
    written.write_text(f"{before}\nK current 0/nosuch{after}")
    done, executed = quick("events", "--stats", busy)
    assert executed == 1
    count = len(json.loads(runtime("ps", "-f", "json", busy).stdout))
    assert json.loads(done.stdout)["data"]["pids"] == {"current": count}
    # One of another kind, in which the file is there: Python's.
    written.write_text(f"{before}\nK current {file}{after}")
    done, executed = quick("events", "--stats", busy)
    assert executed == 2
    assert json.loads(done.stdout)["data"]["pids"]["limit"] == 50


def members(value, path=""):
    if not isinstance(value, dict):
        return {path}
    return {inner for key, more in value.items() for inner in members(more, f"{path}/{key}")}


@pytest.mark.parametrize("damage", ["", "pyrunc-stats-0\n", "pyrunc-stats-1\nQ x\n",
                                    "pyrunc-stats-1\nO x\n", "pyrunc-stats-1\nC\n",
                                    "pyrunc-stats-1\nN x k 1 99/f -\n",
                                    "pyrunc-stats-1\nN x\n", "pyrunc-stats-1\nX 0/nosuch\n",
                                    "pyrunc-stats-1\nO\n",
                                    "pyrunc-stats-1\nN a b c d e\n"])  # fmt: skip
def test_a_damaged_list_is_pythons(runtime, quick, busy, damage):
    runtime("events", "--stats", busy)
    (runtime.root / ":stats").write_text(damage)
    done, executed = quick("events", "--stats", busy)
    assert executed == 2
    assert json.loads(done.stdout)["type"] == "stats"
    # And it is written anew.
    assert quick("events", "--stats", busy)[1] == 1


def test_the_launcher_does_not_die_of_a_damaged_list(runtime, busy):
    """Cut, with words missing, and with bytes exchanged; each line alone, too."""
    path = runtime.root / ":stats"
    runtime("events", "--stats", busy)
    data = path.read_bytes()
    head, _, rest = data.partition(b"\n")
    lines = rest.split(b"\n")
    chance = random.Random(2)
    some = lines[:: 1 + len(lines) // 20]
    cases = [head + b"\n" + line.rsplit(b" ", n)[0] for line in some for n in (1, 2, 3)]
    for tail in (b"", b" x", b" x y"):
        cases += [head + b"\n" + bytes([kind]) + tail for kind in b"ARINMPGBKXHOSCL "]
    for number in range(max(30, 120 // support.EVERY)):
        damaged = bytearray(data)
        if number % 3 == 0:
            del damaged[chance.randrange(len(damaged)) :]
        for _ in range(chance.randrange(1, 4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        cases.append(bytes(damaged))
    for damaged in cases:
        path.write_bytes(damaged)
        path.chmod(0o600)
        command = [runtime.program, "--root", str(runtime.root), "events", "--stats", busy]
        done = subprocess.run(command, check=False, capture_output=True, timeout=60)
        assert done.returncode == 0, damaged


def test_statistics_of_none(runtime, quick, busy):
    runtime("events", "--stats", busy)
    runtime("kill", busy, "KILL")
    runtime.until(busy, "stopped")
    done, executed = quick("events", "--stats", busy)
    assert (done.returncode, executed) == (1, 2)
    assert f"container with id {busy} is not running" in done.stderr
    assert quick("events", "--interval", "0s", busy)[1] == 2
