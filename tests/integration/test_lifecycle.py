# SPDX-License-Identifier: Apache-2.0
"""The life of containers, by command line and by library, on the real kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import pyrunc
from tests.lib import support


@pytest.mark.parametrize("number", ["INT", "QUIT", "TERM"])
@pytest.mark.parametrize("private", [True, False], ids=["pid1", "shared"])
def test_a_created_container_ends_by(runtime, bundle, number, private):
    """Engines that stop what was never started would wait for their time-out."""
    spaces = bundle.config["linux"]["namespaces"]
    if not private:
        bundle.config["linux"]["namespaces"] = [ns for ns in spaces if ns["type"] != "pid"]
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["rt_sigaction", "rt_sigprocmask"], "action": "SCMP_ACT_ERRNO"}],
    }
    name = runtime.create(bundle.args("/bin/true"))
    runtime("kill", name, number)
    runtime.until(name, "stopped")
    runtime("delete", name)


def test_a_created_container_outlives_other_signals(runtime, bundle):
    name = runtime.create(bundle.args("/bin/true"))
    for number in ("HUP", "USR1", "WINCH", "CONT"):
        runtime("kill", name, number)
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    runtime.until(name, "stopped")


def test_a_life(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    state = runtime.state(name)
    assert state["status"] == "created"
    assert state["bundle"] == str(bundle.path)
    assert os.path.exists(f"/proc/{state['pid']}")
    runtime("start", name)
    assert runtime.state(name)["status"] == "running"
    refused = runtime("delete", name, check=False)
    assert refused.returncode == 1
    assert f"cannot delete container {name} that is not stopped: running" in refused.stderr
    again = runtime("start", name, check=False)
    assert "cannot start an already running container" in again.stderr
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    assert runtime.state(name)["pid"] == 0
    late = runtime("kill", name, check=False)
    assert late.returncode == 1
    assert "container not running" in late.stderr
    assert "cannot start a container that has stopped" in runtime("start", name, check=False).stderr
    runtime("delete", name)
    for command in ("state", "start", "kill", "delete"):
        gone = runtime(command, name, check=False)
        assert gone.returncode == 1
        assert "container does not exist" in gone.stderr
    assert runtime("delete", "--force", name).stderr == ""


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_exit_codes_of_run(runtime, bundle, script, code):
    # `kill -9 $$` of pid 1 needs a pid namespace in which the shell is not init.
    bundle.config["linux"]["namespaces"] = [
        ns for ns in bundle.config["linux"]["namespaces"] if ns["type"] != "pid"
    ]
    done = runtime.run(bundle.shell(script))
    assert (done.returncode, done.stderr) == (code, "")


def test_run_leaves_nothing_and_keep_leaves_the_stopped_container(runtime, bundle):
    runtime.run(bundle, check=True)
    assert runtime("list", "-q").stdout == ""
    name = runtime.new_id()
    runtime("run", "--keep", "-b", str(bundle.path), name)
    assert runtime.state(name)["status"] == "stopped"
    assert support.cgroups_named(name)
    runtime("delete", name)
    assert not support.cgroups_named(name)


def test_fifty_of_different_ids(runtime, bundle):
    names = [runtime.new_id() for _ in range(50)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: runtime.create(bundle, name), names))
    listed = json.loads(runtime("list", "-f", "json").stdout)
    assert {row["id"] for row in listed} == set(names)
    assert {row["status"] for row in listed} == {"created"}


def test_fifty_of_one_id(runtime, bundle):
    name = runtime.new_id()
    barrier = threading.Barrier(10)

    def attempt(_):
        if barrier.n_waiting < 10:
            barrier.wait(timeout=30)
        command = [runtime.program, "--root", str(runtime.root), "create", "-b"]
        with open(os.devnull, "r+b") as null:
            return subprocess.run(
                [*command, str(bundle.path), name], stdin=null, stdout=null,
                stderr=subprocess.PIPE if _ < 0 else null, check=False,
            ).returncode  # fmt: skip

    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(attempt, range(50)))
    assert sorted(codes) == [0] + [1] * 49
    assert runtime.state(name)["status"] == "created"
    loser = runtime("create", "-b", str(bundle.path), name, check=False)
    assert "container with given ID already exists" in loser.stderr
    runtime("start", name)
    runtime.until(name, "stopped")


def test_two_starts_at_once(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: runtime("start", name, check=False).returncode, range(8)))
    assert sorted(codes) == [0] + [1] * 7


def test_command_line_forms(runtime, bundle):
    name = runtime.create(bundle)
    root = str(runtime.root)
    for words in (
        [f"-root={root}", "state", name],
        ["--root", root, "state", name],
        [f"--root={root}", "state", name],
        ["-root", root, "state", name],
    ):
        done = subprocess.run([runtime.program, *words], capture_output=True, check=False, env={})
        assert json.loads(done.stdout)["id"] == name
    runtime("delete", name, "--force")
    unknown = runtime("--nosuch", check=False)
    assert unknown.returncode == 1
    assert "flag provided but not defined: -nosuch" in unknown.stderr
    assert "flag needs an argument: -pid-file" in runtime("create", "-pid-file", check=False).stderr
    assert runtime("nosuch", check=False).returncode == 3
    assert "requires exactly 1 argument(s)" in runtime("state", check=False).stderr


def test_pid_file_and_log(runtime, bundle, tmp_path):
    pid_file, log = tmp_path / "pid", tmp_path / "log.json"
    pid_file.touch()
    name = runtime.create(bundle, None, "--pid-file", str(pid_file))
    assert pid_file.read_text() == str(runtime.state(name)["pid"])
    options = ["--log", str(log), "--log-format", "json"]
    done = runtime(*options, "state", "nosuch", check=False)
    assert done.stderr == "container does not exist\n"
    record = json.loads(log.read_text())
    assert list(record) == ["level", "msg", "time"]
    assert (record["level"], record["msg"]) == ("error", "container does not exist")


def test_init_is_reparented_and_nothing_else_holds_the_pipes(runtime, bundle):
    """The caller reads the pipes to their end."""
    reader, writer = os.pipe()
    name = runtime.new_id()
    command = [runtime.program, "--root", str(runtime.root), "create", "-b", str(bundle.path), name]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, check=True)
    os.close(writer)
    runtime.until(name, "created")
    runtime("delete", "--force", name)
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_descriptors_of_the_caller_do_not_get_in(runtime, bundle):
    """CVE-2024-21626."""
    held = [os.open("/", os.O_RDONLY) for _ in range(20)]
    try:
        name = runtime.new_id()
        command = [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.path)]
        bundle.shell(
            "ls /proc/self/fd | wc -l; for i in 3 4 5 6 7 8 9; do "
            "ls /proc/self/fd/$i/etc 2>/dev/null; done; true"
        )
        done = subprocess.run(
            [*command, name], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            pass_fds=held, check=True,
        )  # fmt: skip
        assert done.stdout.split() == ["4"]  # 0, 1, 2, and the directory that ls reads
        for fd in (3, held[0], held[-1]):
            bundle.config["process"]["cwd"] = f"/proc/self/fd/{fd}"
            bundle.write()
            bad = subprocess.run(
                [*command, runtime.new_id()], stdin=subprocess.DEVNULL, capture_output=True,
                text=True, pass_fds=held, check=False,
            )  # fmt: skip
            assert bad.returncode == 1
            assert f"make directory /proc/self/fd/{fd}: " in bad.stderr
            assert bad.stdout == ""
    finally:
        for fd in held:
            os.close(fd)


def test_preserved_descriptors(runtime, bundle):
    reader, writer = os.pipe()
    bundle.shell("echo kept >&3; ls /proc/self/fd | wc -l")
    words = ["--root", str(runtime.root), "run", "--preserve-fds", "1", "-b", str(bundle.path)]
    # Through a shell: descriptor 3 of this process is the test runner's.
    script = ["sh", "-c", f'exec "$0" "$@" 3>/proc/self/fd/{writer}', runtime.program, *words]
    done = subprocess.run(
        [*script, runtime.new_id()], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        pass_fds=[writer], check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")
    assert os.read(reader, 100) == b"kept\n"
    os.close(reader)
    missing = subprocess.run(
        [runtime.program, *words, runtime.new_id()], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert missing.returncode == 1
    assert "unable to stat preserved-fd 1 (of 1)" in missing.stderr


def test_signals_reach_the_program(runtime, bundle):
    bundle.shell("trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    command = [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.path)]
    with subprocess.Popen([*command, runtime.new_id()], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGTERM)
        assert run.stdout.readline() == "got\n"
        assert run.wait(10) == 3


def test_an_execve_that_fails_after_start(runtime, bundle):
    """create and start succeed, the container's stderr has one line."""
    script = bundle.rootfs / "bad"
    script.write_text("neither a program nor a script\n")
    script.chmod(0o755)
    done = runtime.run(bundle.args("/bad"))
    assert done.returncode == 255
    assert done.stderr == "exec /bad: exec format error\n"


def test_library(runtime, bundle, tmp_path):
    bundle.shell("exit 5")
    root = str(runtime.root)
    with pyrunc.Container.create(str(bundle.path), runtime.new_id(), root=root) as box:
        assert box.status == "created"
        box.start()
        ended = box.wait(timeout=10)
        assert (ended.code, ended.signal) == (5, 0)
        assert box.status == "stopped"
    with pytest.raises(pyrunc.ContainerNotFound, match="does not exist"):
        pyrunc.Container.load(box.id, root=root)
    bundle.args("nosuch")
    with pytest.raises(pyrunc.StartError, match="executable file not found") as caught:
        pyrunc.Container.create(str(bundle.path), runtime.new_id(), root=root)
    assert caught.value.errno == 2


def test_library_in_many_threads(runtime, bundle):
    bundle.args("/bin/sh", "-c", "exit 9")
    fds = len(os.listdir("/proc/self/fd"))

    def life(name):
        with pyrunc.Container.create(str(bundle.path), name, root=str(runtime.root)) as box:
            box.start()
            return box.wait(timeout=30).code

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(life, [runtime.new_id() for _ in range(60)]))
    assert codes == [9] * 60
    assert len(os.listdir("/proc/self/fd")) == fds


def test_user_namespace_in_a_directory_that_its_root_cannot_enter(runtime, bundle, tmp_path):
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"] |= {"uidMappings": maps, "gidMappings": maps}
    for name in ("proc", "sys", "dev"):
        (bundle.rootfs / name).mkdir()
    tmp_path.chmod(0o700)
    done = runtime.run(bundle.shell("id -u; cat /proc/self/uid_map; echo $$; exit 4"))
    assert (done.returncode, done.stderr) == (4, "")
    assert done.stdout.split() == ["0", "0", "100000", "65536", "1"]


def test_namespaces_of_the_wrong_type(runtime, bundle):
    for namespace in bundle.config["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = "/proc/self/ns/uts"
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "is not a network namespace" in done.stderr


def test_signals_that_the_caller_ignores_are_not_inherited(runtime, bundle):
    """Also the two that libc keeps for its threads, and what Python ignores itself."""
    bundle.args("/bin/grep", "Sig", "/proc/self/status")
    script = (
        "import os, signal, sys\n"
        "for s in (signal.SIGHUP, signal.SIGUSR1): signal.signal(s, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.path)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, runtime.new_id()], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        name, _, mask = line.partition(":")
        if name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"):
            assert int(mask, 16) == 0, line
    assert "SigIgn" in done.stdout


@pytest.mark.parametrize("confined", [False, True])
def test_a_profile_older_than_the_calls_that_we_use(runtime, bundle, confined):
    """Without no_new_privs the filter is in force early: what follows must get by without
    openat2, close_range and faccessat2, which profiles of 2018 do not know."""
    bundle.config["process"]["noNewPrivileges"] = confined
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    new = ["openat2", "close_range", "faccessat2", "clone3", "pidfd_open", "statx", "memfd_create"]
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": new, "action": "SCMP_ACT_ERRNO"}],
    }
    (bundle.rootfs / "etc").mkdir()
    (bundle.rootfs / "etc" / "passwd").write_text("me:x:1000:1000::/home/me:/bin/sh\n")
    done = runtime.run(bundle.args("sh", "-c", "id -u; echo $HOME; ls /proc/self/fd | wc -l"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["1000", "/home/me", "4"]
