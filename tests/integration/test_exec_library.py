# SPDX-License-Identifier: Apache-2.0
"""`Container.exec`, `popen` and `wait`: processes in a container for a Python program."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support


@pytest.fixture
def container(runtime, bundle):
    bundle.args("/bin/sleep", "1000")
    made = pyrunc.Container.create(
        str(bundle.path), runtime.new_id(), root=str(runtime.root), stdio=null()
    )
    with made:
        made.start()
        yield made


def null():
    fd = os.open(os.devnull, os.O_RDWR)
    null.fds.append(fd)
    return fd, fd, fd


null.fds = []


@pytest.fixture(autouse=True)
def _close():
    yield
    while null.fds:
        os.close(null.fds.pop())


def members(container) -> list[int]:
    return container.processes()


def test_in_the_shape_of_run(container):
    done = container.exec(["/bin/cat"], input=b"words", capture_output=True)
    assert (done.stdout, done.stderr, done.code) == (b"words", b"", 0)
    assert done.exit == pyrunc.Exit(0)
    done = container.exec(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True)
    assert (done.stdout, done.stderr, done.code) == (b"out\n", b"err\n", 3)
    assert done.exit.reason == "exited"
    with pytest.raises(pyrunc.ExecFailed, match=r"exit code 3.*: err") as caught:
        container.exec(["/bin/sh", "-c", "echo err >&2; exit 3"], capture_output=True, check=True)
    assert caught.value.completed.code == 3


def test_much_output_and_much_input(container):
    data = os.urandom(3 << 20)
    done = container.exec(["/bin/cat"], input=data, capture_output=True)
    assert done.stdout == data
    # Whoever does not read its input ends the writing, and nothing else.
    assert container.exec(["/bin/true"], input=data, capture_output=True).code == 0


def test_what_is_asked_of_the_process(container):
    script = "id -u; pwd; echo $A; grep NoNewPrivs /proc/self/status"
    done = container.exec(
        ["/bin/sh", "-c", script], capture_output=True, uid=5, cwd="/bin", env=("A=b",),
        no_new_privileges=True,
    )  # fmt: skip
    assert done.stdout.decode().split() == ["5", "/bin", "b", "NoNewPrivs:", "1"]
    done = container.exec([], capture_output=True, process={"args": ["/bin/pwd"], "cwd": "/bin"})
    assert done.stdout == b"/bin\n"
    with pytest.raises(pyrunc.UsageError, match="complete"):
        container.exec(["/bin/true"], process={"args": ["/bin/true"], "cwd": "/"})
    with pytest.raises(TypeError):
        container.exec(["/bin/true"], nosuch=1)


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        (["nosuch"], pyrunc.StartError, "executable file not found in \\$PATH"),
        ([], pyrunc.UsageError, "exec args cannot be empty"),
    ],
)
def test_errors(container, args, kind, text):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(kind, match=text):
        container.popen(args, stdin=pyrunc.PIPE, stdout=pyrunc.PIPE, stderr=pyrunc.STDOUT)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(members(container)) == 1


def test_in_the_shape_of_popen(container):
    with container.popen(
        ["/bin/sh", "-c", "read x; echo got $x >&2; exit 4"],
        stdin=pyrunc.PIPE, stdout=pyrunc.PIPE, stderr=pyrunc.STDOUT,
    ) as process:  # fmt: skip
        assert process.poll() is None
        assert process.pid in members(container)
        with pytest.raises(TimeoutError):
            process.wait(0.05)
        process.stdin.write(b"it\n")
        assert select.select([process], [], [], 20)[0] == [process]  # it has a fileno()
        assert process.wait().code == 4
        assert process.stdout.read() == b"got it\n"
    process = container.popen(["/bin/sleep", "1000"])
    process.terminate()
    assert process.wait() == pyrunc.Exit(143, 15)
    assert process.wait().reason == "signaled"
    process.send_signal(9)  # nobody is there any more


def test_a_terminal(container):
    with container.popen(["/bin/sh", "-c", "tty; read x; echo got $x"], terminal=True) as process:
        out = b""
        while b"/dev/pts/" not in out:
            out += process.terminal.read(100)
        process.terminal.write(b"it\n")
        while b"got it" not in out:
            out += process.terminal.read(100)
        assert process.wait().code == 0


# What it starts leaves its session and its parent: only the cgroup still holds it.
DAEMONS = "for i in 1 2 3; do (setsid sleep 1000 &) ; done; echo ready; sleep 1000"


def test_a_time_out_ends_all_that_it_started(container, bundle):
    (bundle.rootfs / "bin/setsid").symlink_to("busybox")
    begin = time.monotonic()
    with pytest.raises(pyrunc.ExecTimeout, match=r"ran past its 0\.5 seconds") as caught:
        container.exec(["/bin/sh", "-c", DAEMONS], capture_output=True, timeout=0.5)
    assert time.monotonic() - begin < 30 * support.SLOW
    assert caught.value.output == b"ready\n"
    assert isinstance(caught.value, TimeoutError)
    assert members(container) == [container.pid]
    assert not [path for path in support.cgroups_named("exec-") if container.id in path]


def test_a_process_in_time_ends_what_it_leaves(container, bundle):
    (bundle.rootfs / "bin/setsid").symlink_to("busybox")
    script = "setsid sleep 1000 >/dev/null 2>&1 & exit 0"
    container.exec(["/bin/sh", "-c", script], timeout=60)
    assert members(container) == [container.pid]
    # Without a cgroup of its own what it leaves stays, as with any runtime.
    container.exec(["/bin/sh", "-c", script])
    assert len(members(container)) == 2


def test_the_reason_of_a_time_out(container):
    process = container.popen(["/bin/sleep", "1000"], own_cgroup=True)
    with pytest.raises(pyrunc.ExecTimeout):
        process.communicate(timeout=0.1)
    assert process.wait().reason == "timeout"


def test_a_thousand_leave_nothing(container, runtime):
    many = max(100, 1000 // support.EVERY)
    container.exec(["/bin/true"])  # what is opened once is open now
    gc.collect()  # and what other tests have left is closed
    descriptors, tasks = len(os.listdir("/proc/self/fd")), threading.active_count()
    cgroups = support.cgroups_named(container.id)
    for number in range(many):
        assert container.exec(["/bin/true"], timeout=60 if number % 10 == 0 else None).code == 0
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert threading.active_count() == tasks
    assert support.cgroups_named(container.id) == cgroups
    assert members(container) == [container.pid]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert children == [str(container.pid)]


@pytest.mark.parametrize("kept", [True, False], ids=["held", "forgotten"])
@pytest.mark.parametrize("how", ["delete", "wait"])
def test_a_container_ends_though_nobody_has_waited_for_its_processes(container, how, kept):
    """A zombie of ours would keep its first process from ending, and us waiting."""
    processes = [container.popen(["/bin/sleep", "1000"]) for _ in range(3)]
    if not kept:
        processes.clear()
        gc.collect()
    begun = time.monotonic()
    if how == "delete":
        container.delete(force=True)
    else:
        container.kill(signal.SIGKILL)
        assert container.wait().signal == signal.SIGKILL
    assert time.monotonic() - begun < 5 * support.SLOW
    assert [process.wait().signal for process in processes] == [signal.SIGKILL] * len(processes)


def test_forgotten_processes_leave_no_descriptors(container):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        container.popen(["/bin/sleep", "0.1"])
    time.sleep(1 * support.SLOW)
    container.exec(["/bin/true"])
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert len(container.processes()) == 1


def test_a_hundred_at_once(container):
    results: list[bytes | None] = []

    def one(number: int) -> None:
        done = container.exec(["/bin/echo", str(number)], capture_output=True)
        results.append(done.stdout)

    support.at_once(one, 100)
    assert sorted(int(text) for text in results if text) == list(range(100))
    assert members(container) == [container.pid]


def test_stopped_and_deleted(runtime, bundle):
    made = pyrunc.Container.create(
        str(bundle.path), runtime.new_id(), root=str(runtime.root), stdio=null()
    )
    with made:
        made.start()
        made.wait()
        with pytest.raises(pyrunc.ContainerNotRunning, match="cannot exec in a stopped container"):
            made.exec(["/bin/true"])
    with pytest.raises(pyrunc.ContainerNotFound, match="container does not exist"):
        made.exec(["/bin/true"])


@pytest.mark.parametrize(
    "odd",
    [{"uid": -1}, {"uid": 2**32}, {"uid": 2**32 - 1}, {"gid": 2**32, "uid": 0}, {"uid": "x"},
     {"groups": (2**32,)}, {"groups": (-1,)}, {"groups": ("x",)}],
)  # fmt: skip
def test_ids_out_of_range(container, odd):
    with pytest.raises(pyrunc.SpecError, match="must be from 0 to 4294967294"):
        container.exec(["/bin/id"], **odd)


# All that comes is stopped at once, but for the first process and this one itself.
STOPPER = """
while [ ! -e /dev/shm/end ]; do
  for p in /proc/[0-9]*; do
    n=${p#/proc/}
    [ "$n" != 1 ] && [ "$n" != $$ ] && kill -STOP "$n" 2>/dev/null
  done
done
"""


def test_a_container_that_holds_up_who_comes(container):
    def many():
        for _ in range(20):
            container.exec(["/bin/sleep", "0.05"], timeout=2)

    with container.popen(["/bin/sh", "-c", STOPPER], stdout=pyrunc.DEVNULL) as stopper:
        time.sleep(0.3)
        with pytest.raises(pyrunc.ExecTimeout):
            many()
        stopper.kill()
    assert members(container) == [container.pid]


@pytest.mark.parametrize("terminal", [False, True])
def test_streams_that_are_none(container, terminal):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(AttributeError):
            container.popen(["/bin/true"], stdin=pyrunc.PIPE, stdout=object(), terminal=terminal)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_exception_in_the_middle_leaves_no_child(container):
    def interrupt(*_):
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(InterruptedError):
            container.exec(["/bin/sleep", "1000"], capture_output=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert members(container) == [container.pid]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert children == [str(container.pid)]


# --- how a container ended, for others -------------------------------------------------------

CREATOR = """
import os, sys, pyrunc
root, bundle, name, waits = sys.argv[1:]
fd = os.open(os.devnull, os.O_RDWR)
made = pyrunc.Container.create(bundle, name, root=root, stdio=(fd, fd, fd))
made.start()
if waits == "yes":
    made.wait()
os._exit(0)
"""


def creator(runtime, bundle, waits: str) -> pyrunc.Container:
    name = runtime.new_id()
    command = [sys.executable, "-c", CREATOR, str(runtime.root), str(bundle.path), name, waits]
    subprocess.run(command, check=True, timeout=60)
    return pyrunc.Container.load(name, root=str(runtime.root))


def test_how_it_ended_survives_who_created_it(runtime, bundle):
    found = creator(runtime, bundle.shell("exit 7"), "yes")
    assert found.wait() == pyrunc.Exit(7)
    found = creator(runtime, bundle.shell("kill -9 $$; sleep 0.2"), "yes")
    # The first process of a pid namespace gets no SIGKILL from inside.
    assert found.state["status"] == "stopped"
    assert found.wait().reason == "exited"
    assert pyrunc.Container.load(found.id, root=found.root).wait() == found.wait()


REAPER = """
import os, subprocess, sys
from pyrunc.kernel.calls import set_subreaper
set_subreaper(True)
subprocess.run(sys.argv[1:], check=True)
print("created", flush=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""


@pytest.mark.parametrize("killed", [False, True])
def test_who_is_no_parent_learns_it_from_the_kernel(runtime, bundle, killed):
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 15):
        pytest.skip("needs PIDFD_INFO_EXIT (Linux 6.15)")
    name = runtime.new_id()
    bundle.shell("sleep 1; exit 9")
    made = [sys.executable, "-c", CREATOR, str(runtime.root), str(bundle.path), name, "no"]
    with subprocess.Popen(
        [sys.executable, "-c", REAPER, *made], stdout=subprocess.PIPE, text=True
    ) as reaper:
        assert reaper.stdout is not None
        assert reaper.stdout.readline() == "created\n"
        found = pyrunc.Container.load(name, root=str(runtime.root))
        found.fileno()
        if killed:
            found.kill(9)
        assert found.wait(30) == (pyrunc.Exit(137, 9) if killed else pyrunc.Exit(9))
