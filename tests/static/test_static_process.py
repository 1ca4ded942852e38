# SPDX-License-Identifier: Apache-2.0
"""Nothing of the build's process is in the run, whoever starts it and how."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile

import pytest

from tests.lib import support
from tests.static import elsewhere

MEBI = 1 << 20


def run(command, *words, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("timeout", 60)
    return subprocess.run([command, *words], capture_output=True, text=True, check=False, **options)


def test_the_versions_that_are_inside(command):
    lines = run(command, "--version").stdout.splitlines()
    assert lines[0].startswith("pyrunc version ")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "commit",
        "spec",
        "python",
        "libseccomp",
        "musl",
    ]


def test_a_thousand_starts(command):
    """Each at other addresses of stack, heap and mmap."""
    for _ in range(1000):
        done = run(command, "--version")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("environment", [
    {}, {"PATH": ""}, {"PYTHONHOME": "/x", "PYTHONPATH": "/x", "PYTHONMALLOC": "debug",
     "PYTHONSTARTUP": "/x", "PYTHONFAULTHANDLER": "1", "PYTHONHASHSEED": "7"},
    {"LD_PRELOAD": "/x.so", "LD_LIBRARY_PATH": "/x", "MALLOC_PERTURB_": "1"},
    {"LANG": "tr_TR.UTF-8", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
])  # fmt: skip
def test_the_environment_decides_nothing(command, tmp_path, environment):
    done = run(command, "--root", str(tmp_path), "list", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ID ")


def test_the_program_gets_the_caller_s_environment_only(command, runtime, bundle):
    runtime.program = str(command)
    bundle.shell("env")
    done = runtime.run(bundle, env={"PATH": "/usr/bin:/bin", "MARK": "1"})
    assert done.returncode == 0, done.stderr
    assert "MARK" not in done.stdout
    assert "PYRUNC" not in done.stdout


def test_the_caller_s_directory(command, tmp_path):
    done = run(command, "spec", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "config.json").read_text())["ociVersion"]
    done = run(command, "create", "x", cwd=tmp_path / "..")
    assert done.returncode == 1


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_closed_descriptors(command, tmp_path, closed):
    """None of them becomes a file of ours that somebody's output goes to."""
    shut = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in closed)
    words = f"exec {command} --root {tmp_path} list {shut}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if False else 0), done.stderr
    assert bool(done.stdout) == (1 not in closed)


def test_output_that_cannot_be_written(command, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [command, "--root", tmp_path, "list"], stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "write to standard output" in done.stderr


def test_an_ordinary_user(command):
    if support.needs_root():
        pytest.skip("needs root, to become another user")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        copy = shutil.copy(command, place)
        done = run(copy, "--root", place, "list", user=65534, group=65534, env={}, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")


def test_signals_that_the_caller_ignores_stay_ignored(command, runtime, bundle):
    """nohup(1): SIGHUP does not end `run`."""
    runtime.program = str(command)
    bundle.shell("echo ready; sleep 0.6; echo done")

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = runtime.spawn(
        "run", "-b", str(bundle.path), runtime.new_id(), stdout=subprocess.PIPE, preexec_fn=ignore
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 128 + signal.SIGHUP)  # the program's answer, not ours
    status = f"/proc/{process.pid}/status"
    assert not os.path.exists(status)
    del out


def test_control_c_ends_a_wait(command, runtime, bundle):
    runtime.program = str(command)
    bundle.args("/bin/sleep", "1000")
    name = runtime.create(bundle)
    process = runtime.spawn("events", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (0, 130)


@pytest.mark.parametrize(("what", "enough"), [
    (resource.RLIMIT_AS, 32 * MEBI), (resource.RLIMIT_DATA, 32 * MEBI),
    (resource.RLIMIT_STACK, 64 << 10),
])  # fmt: skip
def test_limits_that_are_enough(command, tmp_path, what, enough):
    def limit():
        resource.setrlimit(what, (enough, enough))

    done = run(command, "--root", str(tmp_path), "list", preexec_fn=limit)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("what", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_limits_that_are_not(command, tmp_path, what):
    """The kernel's own refusal, or a line of ours: never something else in silence."""
    for mebi in (1, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40):

        def limit(size=mebi * MEBI):
            resource.setrlimit(what, (size, size))

        done = run(command, "--root", str(tmp_path), "list", preexec_fn=limit)
        if done.returncode == 0:
            assert done.stdout.startswith("ID ")
        else:
            assert done.returncode in (1, -signal.SIGSEGV, -signal.SIGKILL)
            assert done.returncode < 0 or done.stderr


@pytest.mark.parametrize("kib", [64, 128, 256, 1024, 8192])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_document_deeper_than_the_stack(command, bundle, tmp_path, kib, opening):
    def limit():
        resource.setrlimit(resource.RLIMIT_STACK, (kib << 10, kib << 10))

    options = ("--root", str(tmp_path), "create", "-b", str(bundle.path), "deep")
    done = run(command, *options, cwd=bundle.raw(opening * 100_000).path, preexec_fn=limit)
    assert done.returncode == 1
    assert "config.json: nested too deeply" in done.stderr


def test_a_life_with_little_stack(command, runtime, bundle):
    runtime.program = str(command)
    runtime.prefix = ("sh", "-c", 'ulimit -s 64 && exec "$@"', "sh")
    done = runtime.run(bundle.shell("echo inside"))
    assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr


def test_a_file_that_is_cut_short(command, tmp_path):
    """Anywhere: a line of ours, or the kernel refuses or kills it; it never runs."""
    size = command.stat().st_size
    cut = tmp_path / "cut"
    told = 0
    for length in (0, 1, 64, 4096, 100_000, 1 << 20, 4 << 20, 8 << 20, size - 4096, size - 1):
        with open(command, "rb") as whole:
            cut.write_bytes(whole.read(length))
        cut.chmod(0o755)
        try:
            done = run(cut, "--version")
        except OSError:
            continue  # ENOEXEC
        assert done.returncode != 0
        told += "install it again" in done.stderr
        assert done.stdout == ""
    assert told >= 2


@pytest.mark.parametrize("personality", ["-R", "-L", "-B"])
def test_other_layouts_of_addresses(command, tmp_path, personality):
    """setarch(8): no randomisation, the legacy layout, 32 bits of addresses."""
    done = subprocess.run(
        ["setarch", personality, command, "--root", tmp_path, "list"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_tree_with_nothing_but_the_file(command, tmp_path):
    """No /proc, no /dev, no libc, no passwd."""
    if support.needs_root():
        pytest.skip("needs root, for chroot")
    shutil.copy(command, tmp_path / "pyrunc")
    done = subprocess.run(
        ["chroot", tmp_path, "/pyrunc", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "musl: " in done.stdout


@pytest.mark.parametrize("name", ["busybox", *elsewhere.trees()])
def test_containers_elsewhere(command, bundle, tmp_path, name):
    """`run`, `exec` and a filter where there is no Python, and another libc or none."""
    tree = elsewhere.trees().get(name) or elsewhere.busybox(tmp_path)
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}],
    }
    bundle.shell("grep Seccomp: /proc/self/status; mkdir /tmp/x; sleep 100")
    container = f"pyrunc-test-{os.getpid()}-elsewhere"
    done = elsewhere.inside(
        tree, command, bundle,
        f"pyrunc --version; pyrunc run -d -b /run/b {container} >/run/out 2>&1; pyrunc list -q;"
        f"pyrunc exec {container} /bin/echo inside; sleep 0.5; pyrunc delete -f {container};"
        "cat /run/out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("pyrunc version ")
    assert {container, "inside", "Seccomp:\t2"} <= set(lines)
    assert "Cannot assign requested address" in done.stdout  # 99, EADDRNOTAVAIL
    assert not support.cgroups_named(container)


def test_systemd_that_does_not_answer(command, bundle, tmp_path):
    """The driver is in the executable (tests/guest asks it); here is its directory only."""
    assert json.loads(run(command, "features").stdout)["linux"]["cgroup"]["systemd"] is True
    tree = elsewhere.busybox(tmp_path)
    line = "pyrunc --systemd-cgroup run -b /run/b x"
    done = elsewhere.inside(tree, command, bundle, line)
    assert done.returncode == 1
    assert "connect to systemd: No such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_older_processor(command):
    """No instruction is chosen by the builder's: qemu-user stands for a Core 2."""
    qemu = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if not qemu:
        pytest.skip("needs qemu-user")
    done = run(qemu, "-cpu", "core2duo", str(command), "--version")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_caller_that_is_confined(command, runtime, bundle, tmp_path):
    """A container in a container: the outer one has engines' usual filter and no new privileges."""
    runtime.program = str(command)
    shutil.copy(command, bundle.rootfs / "bin" / "pyrunc")
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["personality", "ptrace", "bpf", "keyctl", "userfaultfd", "clone3"],
             "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
        ],
    }  # fmt: skip
    bundle.config["process"]["noNewPrivileges"] = True
    (bundle.rootfs / "r").mkdir(mode=0o700)
    bundle.shell("pyrunc --version && pyrunc --root /r list && pyrunc --root /r state x")
    done = runtime.run(bundle)
    assert done.returncode == 1
    assert done.stdout.startswith("pyrunc version ")
    assert "ID " in done.stdout
    assert "container does not exist" in done.stderr


def test_threads(command, runtime, bundle):
    """`events` has a second thread for its clock; the allocator must know."""
    runtime.program = str(command)
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    process = runtime.spawn(
        "events", "--interval", "20ms", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for _ in range(50):
        assert json.loads(process.stdout.readline())["type"] == "stats"
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.parametrize("first", ["plain", "static"])
def test_containers_of_the_other_command(command, runtime, bundle, first):
    """Created by one, used by the other: an update in either direction."""
    programs = [support.PLAIN, str(command)]
    if first == "static":
        programs.reverse()
    runtime.program = programs[0]
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime.program = programs[1]
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    assert runtime("exec", name, "/bin/echo", "inside").stdout == "inside\n"
    runtime("pause", name)
    runtime.program = programs[0]
    assert runtime.state(name)["status"] == "paused"
    runtime("resume", name)
    runtime.program = programs[1]
    assert name in runtime("list", "-q").stdout.split()
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    runtime("delete", name)


def test_strip_refuses(command, tmp_path):
    """It would drop what lies behind the last section: there are none (docs/static.md)."""
    if not shutil.which("strip"):
        pytest.skip("needs binutils")
    copy = shutil.copy(command, tmp_path / "pyrunc")
    done = subprocess.run(["strip", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, "has no sections" in done.stderr) == (1, True), done.stderr
    assert copy.read_bytes() == command.read_bytes()


@pytest.mark.parametrize(("words", "most"), [(("--version",), 160), (("state", "nosuch"), 190),
                                             (("list",), 170)])  # fmt: skip
def test_pages_that_are_touched(command, tmp_path, words, most):
    """And read, which are mapped several at once. Objects that are not immortal would show here:
    twice as many. Of a copy in one piece: how many are mapped at once depends on how the page
    cache got them."""
    copy = tmp_path / "pyrunc"
    copy.write_bytes(command.read_bytes())
    copy.chmod(0o755)
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)]
    arguments = [str(copy), "--root", str(tmp_path / "root"), *words]
    _, _, usage = os.wait4(os.posix_spawn(copy, arguments, {}, file_actions=quiet), 0)
    assert usage.ru_minflt <= most
