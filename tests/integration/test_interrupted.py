# SPDX-License-Identifier: Apache-2.0
"""Commands that wait for something: a signal ends them, and what they had done is undone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.test_spec_hooks import hook
from tests.lib.cgroup_tools import LAYOUT
from tests.lib.support import SLOW, cgroups_named, in_time

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def started(runtime, *arguments: str, **environment: object) -> subprocess.Popen[bytes]:
    # These tests may run in the background of a shell, which has SIGINT ignored.
    runtime.prefix = ("env", "--default-signal=HUP,INT,TERM")
    env = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    return runtime.spawn(*arguments, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes], number: int) -> str:
    """Signal it; how it says that it has been interrupted."""
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=10 * SLOW)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    text = errors.decode()
    assert process.returncode == 128 + number
    assert f"interrupted by signal {number}" in text
    assert text.count("\n") == 1
    return text


def nothing_left(runtime, name: str) -> None:
    assert not (runtime.root / name).exists()
    assert not cgroups_named(name)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", ["create", "run", "run -d"])
def test_a_hook_that_hangs(runtime, bundle, tmp_path, command, number):
    hook(bundle, "createRuntime", f"echo $$ > {tmp_path}/pid; sleep 1000")
    name = runtime.new_id()
    process = started(runtime, *command.split(), "-b", str(bundle.write().path), name)
    in_time(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    ended(process, number)
    nothing_left(runtime, name)
    pid = (tmp_path / "pid").read_text().strip()
    in_time(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.parametrize("command", ["create", "run"])
def test_a_hook_inside_that_hangs(runtime, bundle, command):
    bundle.config["root"]["readonly"] = False
    hook(bundle, "createContainer", f"touch {bundle.rootfs}/begun; exec sleep 1000")
    name = runtime.new_id()
    process = started(runtime, command, "-b", str(bundle.write().path), name)
    in_time((bundle.rootfs / "begun").exists)
    ended(process, signal.SIGTERM)
    nothing_left(runtime, name)


def test_a_poststart_hook_that_hangs(runtime, bundle, tmp_path):
    hook(bundle, "poststart", f"touch {tmp_path}/begun; sleep 1000")
    name = runtime.new_id()
    process = started(runtime, "run", "-b", str(bundle.args("sleep", "1000").path), name)
    in_time((tmp_path / "begun").exists)
    ended(process, signal.SIGTERM)
    nothing_left(runtime, name)


@pytest.mark.parametrize("command", ["create", "run", "run -d"])
@pytest.mark.parametrize("begins", ["fails", "hangs"])
def test_a_poststop_hook_that_hangs(runtime, bundle, tmp_path, command, begins):
    """It is part of what is undone, and ends by the next signal."""
    wait = {"fails": "exit 1", "hangs": f"touch {tmp_path}/first; sleep 1000"}[begins]
    hook(bundle, "createRuntime", wait)
    hook(bundle, "poststop", f"touch {tmp_path}/second; sleep 1000")
    name = runtime.new_id()
    process = started(runtime, *command.split(), "-b", str(bundle.write().path), name)
    if begins == "hangs":
        in_time((tmp_path / "first").exists)
        process.terminate()
    in_time((tmp_path / "second").exists)
    time.sleep(0.3 * SLOW)
    assert process.poll() is None
    process.terminate()
    with process:
        assert process.wait(10 * SLOW) == (1 if begins == "fails" else 143)
    nothing_left(runtime, name)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_program_that_is_never_ready(runtime, bundle, tmp_path, number):
    """`run -d` below a manager waits for the program's word."""
    name = runtime.new_id()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "s"))
        place = str(bundle.args("sleep", "1000").path)
        process = started(runtime, "run", "-d", "-b", place, name, NOTIFY_SOCKET=tmp_path / "s")
        in_time(lambda: runtime("state", name, check=False).stdout.count('"running"'))
        # Its stderr is the container's, too: that is gone with it.
        ended(process, number)
    nothing_left(runtime, name)


def test_a_namespace_that_is_a_fifo(runtime, bundle, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    network = {"type": "network", "path": str(tmp_path / "fifo")}
    kinds = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [n for n in kinds if n["type"] != "network"] + [network]
    process = started(runtime, "create", "-b", str(bundle.write().path), runtime.new_id())
    _, errors = process.communicate(timeout=10 * SLOW)
    assert b"is not a network namespace" in errors


@pytest.mark.parametrize("detach", [(), ("-d",)])
def test_a_process_object_that_does_not_come(runtime, bundle, tmp_path, detach):
    os.mkfifo(tmp_path / "fifo")
    name = runtime.create(bundle.args("sleep", "1000"))
    runtime("start", name)
    words = ("exec", *detach, "--process", str(tmp_path / "fifo"), name)
    process = started(runtime, *words)
    time.sleep(0.5 * SLOW)
    ended(process, signal.SIGTERM)
    process = started(runtime, *words)
    time.sleep(0.3 * SLOW)
    (tmp_path / "fifo").write_text('{"cwd": "/", "args": ["/bin/sh", "-c", "exit 0"]}')
    process.communicate(timeout=10 * SLOW)
    assert process.returncode == 0


@pytest.fixture
def frozen():
    """A frozen cgroup of the unified hierarchy, from which a process is started."""
    unified = LAYOUT.unified
    if unified is None:
        pytest.skip("needs cgroup v2 to be mounted")
    name = f"pyrunc-test-{os.getpid()}-frozen"
    path = unified.mount + "/" + name
    os.mkdir(path)
    yield name
    for file, value in (("cgroup.kill", "1"), ("cgroup.freeze", "0")):
        Path(path, file).write_text(value)
    in_time(lambda: "populated 0" in Path(path, "cgroup.events").read_text())
    for hierarchy in LAYOUT.hierarchies:
        for directory, _, _ in os.walk(f"{hierarchy.mount}/{name}", topdown=False):
            os.rmdir(directory)


def freeze(name: str) -> None:
    assert LAYOUT.unified
    Path(LAYOUT.unified.mount, name, "cgroup.freeze").write_text("1")


@pytest.mark.parametrize("command", ["create", "run"])
def test_below_a_frozen_cgroup(frozen, runtime, bundle, command):
    """What is started there stops before it has executed anything."""
    bundle.config["linux"]["cgroupsPath"] = f"/{frozen}/below"
    freeze(frozen)
    name = runtime.new_id()
    process = started(runtime, command, "-b", str(bundle.write().path), name)
    # It waits, or it has been refused with the reason: both are no hang.
    time.sleep(1)
    if process.poll() is None:
        ended(process, signal.SIGTERM)
    else:
        assert process.stderr
        assert b"frozen" in process.stderr.read()
        process.stderr.close()
    nothing_left(runtime, name)


def test_exec_below_a_cgroup_that_is_frozen_meanwhile(frozen, runtime, bundle):
    bundle.config["linux"]["cgroupsPath"] = f"/{frozen}/below"
    name = runtime.create(bundle.args("sleep", "1000"))
    runtime("start", name)
    freeze(frozen)
    process = started(runtime, "exec", "--ignore-paused", name, "true")
    time.sleep(1)
    assert process.poll() is None
    process.terminate()
    with process:
        assert process.wait(10 * SLOW) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_a_fault_of_its_own_ends_it(runtime, bundle, number):
    """A Python handler would return to the instruction at fault, for ever."""
    name = runtime.new_id()
    process = started(runtime, "run", "-b", str(bundle.args("sleep", "1000").path), name)
    in_time(lambda: runtime("state", name, check=False).stdout.count('"running"'))
    process.send_signal(number)
    with process:
        assert process.wait(10 * SLOW) == -number


def test_what_comes_before_the_program_runs_is_kept(runtime, bundle, tmp_path):
    """A signal that does not end the command is the program's."""
    hook(
        bundle,
        "createRuntime",
        f"touch {tmp_path}/begun; while test ! -e {tmp_path}/go; do :; done",
    )
    bundle.shell("trap 'exit 9' USR1; while :; do sleep 0.1; done")
    process = started(runtime, "run", "-b", str(bundle.path), runtime.new_id())
    in_time((tmp_path / "begun").exists)
    process.send_signal(signal.SIGUSR1)
    (tmp_path / "go").touch()
    with process:
        # pid 1 has no default action: sent again once the trap is set.
        time.sleep(1 * SLOW)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(10 * SLOW) == 9


@pytest.mark.parametrize("most", range(18, 42, 2))
def test_without_descriptors_nothing_is_left(runtime, bundle, most):
    """Also where it is the import of what cleans up that lacks one."""
    name = runtime.new_id()
    bundle.write()
    script = f'ulimit -n {most}; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", runtime.program, "--root", str(runtime.root),
         "create", "-b", str(bundle.path), name],
        check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    if done.returncode == 0:
        runtime("delete", "--force", name)
    nothing_left(runtime, name)


def test_a_signal_that_the_caller_ignores(runtime, bundle, tmp_path):
    """As nohup(1) has it: it ends nothing."""
    hook(
        bundle,
        "createRuntime",
        f"touch {tmp_path}/begun; while test ! -e {tmp_path}/go; do :; done",
    )
    name = runtime.new_id()
    runtime.prefix = ("env", "--ignore-signal=HUP")
    process = runtime.spawn(
        "create", "-b", str(bundle.write().path), name, stdout=subprocess.DEVNULL
    )
    in_time((tmp_path / "begun").exists)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    (tmp_path / "go").touch()
    with process:
        assert process.wait(10 * SLOW) == 0
    runtime.prefix = ()
    assert runtime.state(name)["status"] == "created"
