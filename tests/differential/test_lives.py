# SPDX-License-Identifier: Apache-2.0
"""runc and pyrunc side by side: cgroups from the host's side, state, hooks, terminals, ends."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.differential import differ, known
from tests.lib import support

MIB = 1 << 20
LIMITS = {
    "nothing": {},
    "memory": {"memory": {"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 64 * MIB}},
    "memory_only": {"memory": {"limit": 64 * MIB}},
    "memory_kernel_and_swappiness": {"memory": {"limit": 64 * MIB, "swappiness": 10}},
    "memory_oom": {"memory": {"limit": 64 * MIB, "disableOOMKiller": True}},
    "pids": {"pids": {"limit": 77}},
    "pids_unlimited": {"pids": {"limit": -1}},
    "cpu": {"cpu": {"shares": 512, "quota": 50_000, "period": 100_000}},
    "cpu_quota_alone": {"cpu": {"quota": 20_000}},
    "cpu_period_alone": {"cpu": {"period": 50_000}},
    "cpuset": {"cpu": {"cpus": "0", "mems": "0"}},
    "all": {
        "memory": {"limit": 64 * MIB},
        "cpu": {"shares": 100, "quota": 30_000, "period": 60_000, "cpus": "0"},
        "pids": {"limit": 10},
    },
    "devices": {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            {"allow": True, "type": "b", "major": 7, "access": "r"},
            {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "m"},
        ]
    },
    "devices_all": {"devices": [{"allow": True, "access": "rwm"}]},
    "devices_missing": {"devices": []},
}
# Refused on cgroup v2, which has no such thing; runc is silent.
V1_ONLY = ("memory_kernel_and_swappiness", "memory_oom")
SET = {
    False: (
        f"memory: memory.limit_in_bytes: {64 * MIB}",
        "pids: pids.max: 10",
        "cpu: cpu.shares: 100",
        "cpu: cpu.cfs_quota_us: 30000",
        "cpuset: cpuset.cpus: 0",
    ),
    True: (
        f"v2: memory.max: {64 * MIB}",
        "v2: pids.max: 10",
        "v2: cpu.weight: 17",
        "v2: cpu.max: 30000 60000",
        "v2: cpuset.cpus: 0",
    ),
}
CGROUP_PATHS = {"absolute": "/{}/absolute", "relative": "{}/relative", "deep": "/{}/a/b/c"}


def same(runc, pyrunc):
    found = differ.differences(runc, pyrunc)
    assert not found, "\n".join(found)


def both(pair, change, ask):
    """What `ask(runtime, container id, box)` finds with each runtime, on a pristine bundle."""
    found = {}
    for name, runtime in pair.runtimes.items():
        box = pair.box()
        change(box)
        box.write()
        container_id = runtime.create(box)
        try:
            found[name] = ask(runtime, container_id, box)
        finally:
            runtime("delete", "--force", container_id)
        found[name] += [f"cgroup left: {path}" for path in pair.cgroups()]
    return found["runc"], found["pyrunc"]


def sleeps(box):
    box.process["args"] = list(differ.SLEEP)


def cgroup_of(runtime, container_id, _box):
    """The files of the cgroups while the container runs."""
    runtime("start", container_id)
    lines = differ.cgroup_files(runtime.state(container_id)["pid"])
    return [line.replace(container_id, "<id>") for line in lines]


@pytest.mark.parametrize("name", LIMITS)
def test_limits(pair, name):
    def change(box):
        box.process["args"] = list(differ.SLEEP)
        box.linux["resources"] |= LIMITS[name]

    if support.V2 and name in V1_ONLY:
        pytest.skip("pyrunc refuses what cgroup v2 does not have (test_cgroup_controllers.py)")
    runc, pyrunc = both(pair, change, cgroup_of)
    assert len(runc) > (25 if support.V2 else 60)
    assert any("<id>" in line for line in runc)
    same(known.RUNC.expected(runc, f"limits_{name}"), pyrunc)


def test_limits_differ_from_none(pair):
    """The comparison above sees limits."""

    def change(box):
        box.process["args"] = list(differ.SLEEP)
        box.linux["resources"] |= LIMITS["all"]

    _, pyrunc = both(pair, change, cgroup_of)
    for line in SET[support.V2]:
        assert line in pyrunc


@pytest.mark.parametrize("kind", CGROUP_PATHS)
def test_cgroups_path(pair, kind):
    path = CGROUP_PATHS[kind].format(pair.path.name)

    def change(box):
        box.process["args"] = list(differ.SLEEP)
        box.linux["cgroupsPath"] = path

    runc, pyrunc = both(pair, change, cgroup_of)
    assert any(path in line for line in runc)
    same(runc, pyrunc)
    left = [line for line in runc if line.startswith("cgroup left: ")]
    assert all(f"/{pair.path.name}" in line for line in left)
    assert not any(line.endswith(path) for line in left)


def states(runtime, container_id, box):
    """The state documents of a life, as printed, with what differs by nature replaced."""

    def ask():
        text = runtime("state", container_id).stdout
        text = re.sub(r'"pid": [1-9]\d*', '"pid": "<pid>"', text)
        text = re.sub(
            r'"created": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"', '"created": "<t>"', text
        )
        return text.replace(container_id, "<id>").splitlines()

    made = ask()
    runtime("start", container_id)
    made += ask()
    runtime("kill", container_id, "KILL")
    runtime.until(container_id, "stopped")
    return made + ask()


def test_state(pair):
    def change(box):
        box.process["args"] = list(differ.SLEEP)
        box.config["annotations"] = {"b": "2", "a": "one", "org.x/y": 'quo"te\n<&>'}

    runc, pyrunc = both(pair, change, states)
    assert '  "status": "running",' in runc
    assert '  "pid": 0,' in runc
    same(known.RUNC.expected(runc, "state"), pyrunc)


def test_state_without_annotations(pair):
    runc, pyrunc = both(pair, sleeps, states)
    same(known.RUNC.expected(runc, "state"), pyrunc)


HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hooked(box):
    log = box.rootfs / "hooks.log"
    log.touch()
    log.chmod(0o666)
    box.process["args"] = list(differ.SLEEP)
    box.config["annotations"] = {"a": "one"}
    program, target = f"{box.rootfs}/bin/probe", str(log)
    box.config["hooks"] = {
        name: [
            {
                "path": "/bin/probe" if name == "startContainer" else program,
                "args": ["hook", "hook", f"{name}-{number}",
                         "/hooks.log" if name == "startContainer" else target],
                "env": [f"NUMBER={number}", "TWO=words here"],
            }
            for number in (1, 2)
        ]
        for name in HOOKS
    }  # fmt: skip
    box.config["root"]["readonly"] = False


def hooks_seen(pair, name):
    """What the hooks wrote, in order, with pids replaced and state as sorted JSON."""
    runtime = pair.runtimes[name]
    box = pair.box()
    hooked(box)
    box.write()
    container_id = runtime.create(box)
    runtime("start", container_id)
    pid = runtime.state(container_id)["pid"]
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").read_bytes() != b"/bin/probe\0sleep\0":
        assert time.monotonic() < deadline
        time.sleep(0.005)
    runtime("kill", container_id, "KILL")
    runtime.until(container_id, "stopped")
    runtime("delete", container_id)
    made = []
    for line in (box.rootfs / "hooks.log").read_text().splitlines():
        if line.startswith("state: "):
            state = json.loads(line.removeprefix("state: "))
            state["pid"] = "<pid>" if state.get("pid") else state.get("pid", "missing")
            made.append("state: " + json.dumps(state, sort_keys=True))
        else:
            made.append(line)
    order = [line.removeprefix("hook: ") for line in made if line.startswith("hook: ")]
    blocks = "\n".join(pair.normalise(made, container_id)).split("hook: ")[1:]
    return order, [f"{block.split()[0]}: {line}" for block in sorted(blocks)
                   for line in block.splitlines()]  # fmt: skip


def test_hooks(pair):
    (_, runc), (order, pyrunc) = hooks_seen(pair, "runc"), hooks_seen(pair, "pyrunc")
    # runc's poststart hooks race with its startContainer hooks.
    assert order == [f"{name}-{number}" for name in HOOKS for number in (1, 2)]
    # Where they run is the next test's.
    runc, pyrunc = ([line for line in lines if ": cwd " not in line] for lines in (runc, pyrunc))
    assert len(runc) > 12 * 40
    same(known.RUNC.expected(runc, "hooks"), pyrunc)


def test_hooks_cwd(pair):
    runc, pyrunc = (
        [line for line in hooks_seen(pair, name)[1] if ": cwd " in line] for name in pair.runtimes
    )
    assert len(runc) == 12
    bundle = next(line for line in pyrunc if line.startswith("poststart-1")).split("cwd ")[1]
    pyrunc = [line.replace(bundle, "BUNDLE") if "poststop" in line else line for line in pyrunc]
    same(known.RUNC.expected(runc, "hooks_cwd"), pyrunc)


PID = 'pid=$(sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/") && exec nsenter -t $pid -m '
MOUNTING = {
    # As nvidia's hooks do: into the container's root, before the pivot, by its path on the host.
    "createContainer": "exec ",
    "createRuntime": PID,
    "prestart": PID,
}


@pytest.mark.parametrize("kind", MOUNTING)
def test_hooks_that_mount(pair, kind):
    """A mount that a hook makes below root.path is the container's."""
    found = {}
    for name, runtime in pair.runtimes.items():
        box = pair.box()
        (box.rootfs / "hooked").mkdir()
        mount = f"{MOUNTING[kind]}mount -t tmpfs -o size=64k hooked {box.rootfs}/hooked"
        path = "PATH=" + differ.ENVIRONMENT["PATH"]
        box.config["hooks"] = {
            kind: [{"path": "/bin/sh", "args": ["sh", "-c", mount], "env": [path]}]
        }
        box.process["args"] = ["/bin/grep", "hooked", "/proc/mounts"]
        box.write()
        done = runtime.run(box, env=differ.ENVIRONMENT)
        found[name] = [f"exit {done.returncode}", *done.stdout.splitlines()]
    code, mount = found["runc"]
    assert code == "exit 0"
    assert mount.startswith("hooked /hooked tmpfs rw,relatime,size=64k")
    same(found["runc"], found["pyrunc"])


def terminal_session(pair, name, change):
    """`run` of a terminal container under a pseudo-terminal of 33 rows and 111 columns."""
    runtime = pair.runtimes[name]
    box = pair.box()
    box.process["terminal"] = True
    # runc sets the size once the process runs already.
    box.shell("sleep 0.4; exec /bin/probe list=/dev/pts exit=5")
    change(box)
    box.write()
    container_id = runtime.new_id()
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 111))
    before = termios.tcgetattr(slave)
    command = [runtime.program, "--root", str(runtime.root), "run", "-b", str(box.path)]
    with subprocess.Popen(
        [*command, container_id], stdin=slave, stdout=slave, stderr=slave,
        env=differ.ENVIRONMENT, start_new_session=True,
    ) as started:  # fmt: skip
        text = b""
        deadline = time.monotonic() + 20
        os.set_blocking(master, False)
        try:
            while True:
                ended = started.poll() is not None
                try:
                    text += os.read(master, 65536)
                except BlockingIOError:
                    if ended:
                        break
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
        finally:
            if started.poll() is None:
                started.kill()
        after = termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)
    assert after == before, "the caller's terminal is not restored"
    lines = text.decode().replace("\r\n", "\n").splitlines()
    return pair.normalise([*lines, f"exit: {started.returncode}"], container_id)


TERMINALS = {
    "root": lambda box: None,
    "uid_1000": lambda box: box.process.update(user={"uid": 1000, "gid": 1000}),
    "console_size": lambda box: box.process.update(consoleSize={"height": 10, "width": 20}),
}


@pytest.mark.parametrize("kind", TERMINALS)
def test_terminal(pair, kind):
    runc = terminal_session(pair, "runc", TERMINALS[kind])
    pyrunc = terminal_session(pair, "pyrunc", TERMINALS[kind])
    assert "exit: 5" in runc
    assert any(line.startswith("tty: /dev/pts/0 size") for line in runc)
    same(known.RUNC.expected(runc, "terminal"), pyrunc)


ENDS = {
    "exit_0": ("exit 0", None),
    "exit_7": ("exit 7", None),
    "exit_255": ("exit 255", None),
    "term": ("trap 'exit 3' TERM; while :; do sleep 0.01; done", "TERM"),
    "ignored_term_then_kill": ("trap '' TERM; while :; do sleep 0.01; done", "KILL"),
    "usr1": ("trap 'exit 9' USR1; while :; do sleep 0.01; done", "SIGUSR1"),
    "number": ("trap 'exit 10' HUP; while :; do sleep 0.01; done", "1"),
}


def end(pair, name, script, signal):
    """The exit code of a foreground run, whose container gets a signal once it is set up."""
    runtime = pair.runtimes[name]
    box = pair.box()
    box.shell(
        f"touch /ready; {script}" if not signal else script.replace(";", "; touch /ready;", 1)
    )
    box.config["root"]["readonly"] = False
    box.write()
    container_id = runtime.new_id()
    command = [runtime.program, "--root", str(runtime.root), "run", "-b", str(box.path)]
    with subprocess.Popen(
        [*command, container_id], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=differ.ENVIRONMENT,
    ) as started:  # fmt: skip
        try:
            if signal:
                deadline = time.monotonic() + 10
                while not (box.rootfs / "ready").exists():
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
                runtime("kill", container_id, signal)
            output, _ = started.communicate(timeout=20)
        finally:
            if started.poll() is None:
                started.kill()
    return started.returncode, output, (box.rootfs / "ready").exists()


@pytest.mark.parametrize("kind", ENDS)
def test_ends(pair, kind):
    script, signal = ENDS[kind]
    runc, pyrunc = end(pair, "runc", script, signal), end(pair, "pyrunc", script, signal)
    assert runc == pyrunc
    assert runc[2]


ERRORS = {
    "start twice": ("start", "start"),
    "delete running": ("start", "delete"),
    "kill stopped": ("start", "kill KILL", "wait", "kill TERM"),
    "kill 0": ("kill 0",),
    "bad signal": ("kill NOSUCH",),
    "start stopped": ("start", "kill KILL", "wait", "start"),
    "delete created": ("delete",),
    "force twice": ("delete --force", "delete --force"),
    "delete twice": ("delete --force", "delete"),
    "state of a deleted one": ("delete --force", "state"),
    "kill a deleted one": ("delete --force", "kill"),
    "pid file": ("create",),
}


def replies(runtime, container_id, box, commands):
    made = []
    for command in commands:
        verb, *rest = command.split()
        options = [word for word in rest if word.startswith("-")]
        rest = [word for word in rest if not word.startswith("-")]
        if verb == "wait":
            runtime.until(container_id, "stopped")
            continue
        if verb == "create":
            options += ["-b", str(box.path)]
        done = runtime(verb, *options, container_id, *rest, check=False)
        message = re.sub(r'time="[^"]*"', "", done.stderr).replace(container_id, "<id>")
        made.append(f"{command}: exit {done.returncode}: {done.stdout}{message}")
    return made


@pytest.mark.parametrize("kind", ERRORS)
def test_replies(pair, kind):
    """Exit codes and messages of commands at the wrong time."""

    runc, pyrunc = both(pair, sleeps, lambda *a: replies(*a, ERRORS[kind]))
    # What can be done about it stands behind the words that callers match.
    pyrunc = [reply.replace(" (kill it first, or use --force)", "") for reply in pyrunc]
    assert len(runc) == len([c for c in ERRORS[kind] if c != "wait"])
    assert runc == pyrunc
