# SPDX-License-Identifier: Apache-2.0
"""The engines' sequences and what they rely on, for pyrunc and runc alike."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract import callers
from tests.lib import support
from tests.lib.support import read_until

PR_SET_CHILD_SUBREAPER = 36
TIOCGPTN = 0x80045430
PROCESS = {"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}


@pytest.fixture(params=["runtime", "runc"])
def either(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def subreaper():
    """Orphans come to us, as to a shim."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


@pytest.fixture
def running(either, bundle):
    return support.put(either, bundle.args("/bin/sleep", "1000"), "running")


@pytest.mark.parametrize(("sig", "code"), [("9", 137), ("15", 5)])
def test_shim_with_pipes(either, bundle, tmp_path, subreaper, sig, code):
    """7.1: pipes, PDEATHSIG, a strict int(), waitpid of init, then the pipes' end."""
    shim = callers.Shim(either, tmp_path / "shim")
    bundle.shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    name = either.new_id()
    reader, writer = os.pipe()
    words = ("create", "--bundle", str(bundle.path), "--pid-file", f"{tmp_path}/pid", name)
    process = shim.spawn(*words, stdout=writer, stderr=writer)
    os.close(writer)
    assert callers.wait(process) == 0
    pid = int((tmp_path / "pid").read_text())
    assert shim("start", name).text == ""
    read_until(reader, b"ready\n")
    assert shim("kill", name, sig).text == ""
    assert callers.reap(pid) == code
    os.set_blocking(reader, False)  # the end, not "nothing yet": init was the last to hold it
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert shim("delete", name).text == ""


def test_shim_with_a_terminal(either, bundle, tmp_path, subreaper):
    """7.2: accepted after the runtime has gone; its own pipe ends while init lives."""
    shim = callers.Shim(either, tmp_path / "shim")
    bundle.config["process"]["terminal"] = True
    bundle.shell("echo hello; sleep 1000")
    console = callers.Console(tmp_path)
    name = either.new_id()
    words = ("create", "--bundle", str(bundle.path), "--pid-file", f"{tmp_path}/pid")
    process = shim.spawn(
        *words, "--console-socket", console.path, name,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.communicate(timeout=60 * support.SLOW)[0] == b""
    assert process.returncode == 0
    _, master = console.message()
    assert len(fcntl.ioctl(master, TIOCGPTN, b"\0" * 4)) == 4
    assert shim("start", name).code == 0
    read_until(master, b"hello")
    pid = int((tmp_path / "pid").read_text())
    assert shim("kill", name, "9").code == 0
    assert callers.reap(pid) == 128 + signal.SIGKILL
    os.close(master)
    console.close()


def test_podman_exec_with_a_terminal(either, running, tmp_path):
    """`podman exec -it`: conmon, detached, with a console socket and a pid file."""
    conmon = callers.Conmon(either, tmp_path / "conmon")
    console = callers.Console(tmp_path)
    pid_file = tmp_path / "pid"
    pid_file.touch()
    args = ["/bin/sh", "-c", "tty; read x; echo got $x"]
    done = conmon.exec(
        running, {**PROCESS, "terminal": True, "args": args}, pid_file,
        "--console-socket", console.path,
    )  # fmt: skip
    assert (done.code, done.text) == (0, "")
    assert int(pid_file.read_text()) > 0
    _, master = console.message()
    read_until(master, b"/dev/pts/")
    os.write(master, b"word\n")
    read_until(master, b"got word")
    os.close(master)
    console.close()


def test_an_exec_that_fails_has_no_pid_file(either, running, tmp_path):
    """7.7; conmon's only sign of it."""
    conmon = callers.Conmon(either, tmp_path / "conmon")
    done = conmon.exec(running, {**PROCESS, "args": ["/nosuch"]}, tmp_path / "pid")
    assert done.code == 255
    assert 'exec: "/nosuch": stat /nosuch: no such file or directory' in done.err
    assert not (tmp_path / "pid").exists()


def test_docker_top(either, running, tmp_path):
    """`ps --format json` for the pids, and ps's own options for the table."""
    shim = callers.Shim(either, tmp_path / "shim")
    pid = either.state(running)["pid"]
    assert shim("ps", "--format", "json", running).out == f"[{pid}]\n"
    header, line = shim("ps", running, "-o", "pid,ppid,comm").out.splitlines()
    assert header.split() == ["PID", "PPID", "COMMAND"]
    assert line.split()[0] == str(pid)


def test_a_hundred_concurrent_execs(either, running, tmp_path):
    """`kubectl exec`: in the foreground, streams as pipes, each with its own output and code."""
    cri = callers.CriO(either, tmp_path / "crio")
    lock = threading.Lock()

    def one(number):
        args = ["/bin/sh", "-c", f"cat; echo {number}; exit {number}"]
        with lock:  # the name of the file is counted
            file = cri.file("process")
        file.write_text(json.dumps({**PROCESS, "args": args}))
        process = cri.spawn(
            "exec", "--process", str(file), running,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = process.communicate(b"in\n", timeout=120 * support.SLOW)
        return process.returncode, out, err

    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(one, range(100)))
    assert found == [(number, f"in\n{number}\n".encode(), b"") for number in range(100)]
    pid = either.state(running)["pid"]
    assert either("ps", "--format", "json", running).stdout == f"[{pid}]\n"


def test_buildah(either, bundle, tmp_path, subreaper):
    buildah = callers.Buildah(either, tmp_path / "buildah")
    bundle.args("/bin/sleep", "1000")
    name = either.new_id()
    assert buildah.create(bundle.path, name).text == ""
    assert buildah("start", name).text == ""
    pid = buildah.until(name, "running")["pid"]
    assert buildah("kill", name, "SIGKILL").text == ""
    assert callers.reap(pid) == 128 + signal.SIGKILL
    assert buildah.until(name, "stopped")["pid"] == 0
    assert buildah("delete", name).text == ""


def test_debug_output_that_nobody_reads(either, bundle, tmp_path):
    """7.10: conmon reads stderr only after the runtime has gone."""
    conmon = callers.Conmon(either, tmp_path / "conmon")
    conmon.prefix = lambda: ["--root", str(either.root), "--debug"]
    name = either.new_id()
    assert conmon.create(bundle.path, name).code == 0
    assert callers.Podman(either, tmp_path / "podman")("delete", "--force", name).text == ""


@pytest.mark.parametrize("delay", [0.002, 0.006, 0.012, 0.02])
def test_a_create_that_is_killed(runtime, bundle, tmp_path, delay):
    """7.12: whoever comes next can remove all of it."""
    name = runtime.new_id()
    process = runtime.spawn(
        "create", "-b", str(bundle.path), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    threading.Event().wait(delay * support.SLOW)
    process.kill()
    process.wait()
    done = callers.Podman(runtime, tmp_path / "podman")("delete", "--force", name)
    assert (done.code, done.text) == (0, "")
    assert not (runtime.root / name).exists()
    assert not support.cgroups_named(name)
    assert str(bundle.path) not in Path("/proc/self/mountinfo").read_text()
