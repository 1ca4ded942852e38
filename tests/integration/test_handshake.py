# SPDX-License-Identifier: Apache-2.0
"""The talk with pyrunc-init when it dies, lies or never begins; and how it is started at all."""

from __future__ import annotations

import array
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel import calls
from pyrunc.kernel.descriptor import Descriptor
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle import handshake, launch, report
from pyrunc.plan import steps, wire
from pyrunc.plan.plan import Plan
from tests.lib.support import SLOW, cgroups_named, put

NEEDS_STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


def plan_of(*made: steps.Step) -> Plan:
    return Plan(made, 0, (), wire.FIRST_FREE, wire.FIRST_FREE)


@pytest.fixture
def talk():
    """A Child that is a process of ours which sends what the test wants."""
    made: list[handshake.Child] = []
    others: list[socket.socket] = []

    def begin(plan: Plan) -> tuple[handshake.Child, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
        peer = os.fstat(theirs.fileno()).st_ino
        channel = handshake.Channel(ours, peer)
        child = handshake.Child(pid, PidFd.of(pid), channel, Descriptor(), plan)
        made.append(child)
        others.append(theirs)
        return child, theirs

    yield begin
    for child in made:
        if child.pidfd.is_open:
            child.kill()
            child.close()
    for one in others:
        one.close()


def message(kind: str, value: int = 0) -> bytes:
    fields = (wire.MESSAGES.index(kind), 0, 0, 0, 0, value)
    return report.MESSAGE.pack(*fields)


def serve(child: handshake.Child) -> None:
    child.run_until_ready(handshake.Answers({}, lambda: "it died", lambda fd: None))


PARKED = steps.Sync(message=wire.Message.PARKED)


@pytest.mark.parametrize("kind", [k for k in wire.MESSAGES if k not in ("failure", "parked")])
def test_a_message_that_the_plan_does_not_have(talk, kind):
    child, theirs = talk(plan_of(PARKED))
    theirs.send(message(kind))
    with pytest.raises(PyruncError, match=f"unexpected message from pyrunc-init: {kind}"):
        serve(child)


def test_a_listener_that_no_agent_wants(talk):
    child, theirs = talk(plan_of(steps.Seccomp(program=b"", flags=0, listener=steps.Listener.SENT)))
    with open(os.devnull) as sent:
        socket.send_fds(theirs, [message("listener")], [sent.fileno()])
    with pytest.raises(PyruncError, match="unexpected message from pyrunc-init: a seccomp"):
        child.run_until_ready(handshake.Answers({}, lambda: "it died"))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_descriptors_that_nobody_wants_are_closed(talk, count):
    child, theirs = talk(plan_of(PARKED))
    reader, writer = os.pipe()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer] * count))]
    theirs.sendmsg([message("parked")], rights)
    os.close(writer)
    serve(child)
    assert os.read(reader, 1) == b"", "no copy of the pipe's other end is left"
    os.close(reader)


@pytest.mark.parametrize("text", [b"x", b"", b"\xff" * 24, message("parked") + b"x"])
def test_what_is_no_message(talk, text):
    child, theirs = talk(plan_of(PARKED))
    theirs.send(text)
    theirs.close()
    try:
        serve(child)
    except PyruncError as error:
        assert "\n" not in str(error)
    else:
        assert text[:-1] == message("parked"), "longer ones are cut by the kernel"


def test_a_process_that_is_no_child(talk):
    child, theirs = talk(plan_of(steps.Fork(), PARKED))
    mine = os.pidfd_open(os.getpid())
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [mine]))]
    theirs.sendmsg([message("forked", 1)], rights)
    os.close(mine)
    with pytest.raises(PyruncError, match="sent no process"):
        serve(child)


def test_a_process_of_others(talk):
    """It is what it says, but not ours: it would be killed with what is undone."""
    child, theirs = talk(plan_of(steps.Fork(), PARKED))
    pid = subprocess.run(
        ["sh", "-c", "sleep 1000 >&- & echo $!"], stdout=subprocess.PIPE, check=True
    ).stdout
    other = os.pidfd_open(int(pid))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [other]))]
    theirs.sendmsg([message("forked", int(pid))], rights)
    try:
        with pytest.raises(PyruncError, match="sent no process"):
            serve(child)
    finally:
        signal.pidfd_send_signal(other, signal.SIGKILL)
        os.close(other)


def test_nonsense_of_one_that_lives_on(talk):
    """A process that lives on is not waited for."""
    child, theirs = talk(plan_of(PARKED))
    theirs.send(b"x")
    with pytest.raises(PyruncError, match="signal 0"):
        child.run_until_ready(handshake.Answers({}, lambda: f"signal {child.killed_by()}"))


def test_death_while_somebody_else_holds_the_socket(talk):
    """As the second stage does, when the first one dies before it has reported it."""
    child, theirs = talk(plan_of(steps.Fork(), PARKED))
    os.set_inheritable(theirs.fileno(), True)
    holder = os.pidfd_open(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
    theirs.close()
    signal.pidfd_send_signal(child.pidfd.fileno(), signal.SIGKILL)
    with pytest.raises(PyruncError, match="it died"):
        serve(child)
    child.kill()
    # The one that holds the other end was found, ended, and reaped.
    assert select.select([holder], [], [], 0)[0]
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PIDFD, holder, os.WEXITED)
    os.close(holder)


@NEEDS_STRACE
@pytest.mark.parametrize("command", ["create", "run", "exec"])
def test_the_first_stage_is_killed(runtime, bundle, tmp_path, command):
    """Between the start of the second one, which some namespaces take, and its word of it."""
    bundle.args("sleep", "1000")
    name = put(runtime, bundle, "running") if command == "exec" else runtime.new_id()
    kinds = bundle.config["linux"]["namespaces"]
    kinds.append({"type": "user"})
    bundle.config["linux"] |= {
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    }
    os.chmod(bundle.path, 0o755)
    bundle.write()
    trace = ["strace", "-f", "-qq", "-o", str(tmp_path / "log"), "-e", "trace=sendmsg"]
    trace += ["-e", "inject=sendmsg:signal=KILL:when=1"]
    words = ["exec", name, "true"] if command == "exec" else [command, "-b", str(bundle.path), name]
    line = [
        *trace,
        "-e",
        "inject=sendmsg:signal=KILL:when=1",
        runtime.program,
        "--root",
        str(runtime.root),
        *words,
    ]
    with open(tmp_path / "err", "wb") as errors:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            code = process.wait(10 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert code == (255 if command == "exec" else 1)
    said = (tmp_path / "err").read_text()
    assert "died before it was ready" in said
    assert said.count("\n") == 1
    if command != "exec":
        assert not (runtime.root / name).exists()
        assert not cgroups_named(name)


@pytest.mark.parametrize("count", [0, 1, 1000, 9000])
def test_many_descriptors(count):
    """More than fit on the stack that the child begins on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count + 100:
        pytest.skip(f"needs {2 * count + 100} descriptors, the limit here is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with launch.executable() as exe:
            pid, pidfd = calls.spawn(calls.Spawn(exe=exe.fileno(), fds=[0] * count))
        # There is no plan for it, and it says so by its code, or where its socket would be.
        with pidfd:
            found = os.waitid(os.P_PIDFD, pidfd.fileno(), os.WEXITED)
        assert found is not None
        assert found.si_pid == pid
        assert found.si_code == os.CLD_EXITED
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_descriptors_than_any_container_has():
    with pytest.raises(KernelError, match="clone3: too many open files"):
        calls.spawn(calls.Spawn(exe=0, fds=[0] * (1 << 17)))


def test_a_start_that_fails_says_which_call(tmp_path):
    """The errno of the child is its own: another thread's is not touched."""
    no_program = os.open(tmp_path, os.O_RDONLY)
    failed: list[OSError] = []

    def busy() -> None:
        for _ in range(2000):
            try:
                os.stat("/nosuch")
            except FileNotFoundError:
                continue
            except OSError as error:
                failed.append(error)

    thread = threading.Thread(target=busy)
    thread.start()
    for _ in range(50):
        with pytest.raises(KernelError, match="execveat: permission denied"):
            calls.spawn(calls.Spawn(exe=no_program, fds=[]))
    thread.join()
    os.close(no_program)
    assert not failed


def test_threads_go_on_while_a_process_starts(runtime, bundle):
    """And a hundred starts from ten threads are a hundred processes."""
    made: list[int] = []

    def some() -> None:
        for _ in range(10):
            with launch.executable() as exe:
                pid, pidfd = calls.spawn(calls.Spawn(exe=exe.fileno(), fds=[]))
            with pidfd:
                pidfd.reap()
            made.append(pid)

    threads = [threading.Thread(target=some) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 100
