# SPDX-License-Identifier: Apache-2.0
"""Rows of sections 2, 3 and 7: what is printed on success, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.contract.callers import BuildKit, CriO, in_time, kill_group, wait
from tests.contract.harness import STATES, Case, Rows
from tests.lib import support

ROWS = Rows()
add, row = ROWS.add, ROWS.row


def keys(value: object, name: str = "") -> list[str]:
    """The names in a JSON document, in their order."""
    if isinstance(value, dict):
        return [
            line
            for key, of in value.items()
            for line in [f"{name}.{key}", *keys(of, f"{name}.{key}")]
        ]
    return []


for _state in STATES[1:]:

    def _state_of(case: Case, state: str = _state) -> None:
        case.bundle.config["annotations"] = {"a": "b", "<&>": "é"}
        case.bundle.write()
        case.put(state)
        case.saw(case.podman("state", case.name))

    add(f"state_{_state}", "2.1", "state, byte for byte", _state_of)


@row("2.1", "list: table, json, ids")
def list_forms(case: Case) -> None:
    case.runtime.root.mkdir(parents=True, exist_ok=True)
    for words in (("list",), ("list", "-f", "json"), ("list", "-q")):
        case.saw(case.plain(*words))
    case.put("running")
    done = case.plain("list", "-f", "json")
    case.saw(done)
    case.saw(case.plain("list", "-q"))
    table = case.plain("list").out.splitlines()
    case.fact("columns", table[0].split())
    pid = case.runtime.state(case.name)["pid"]
    case.fact("row", " ".join(table[1].split()).replace(f" {pid} ", " PID "))


@row("2.2", "ps -f json: [1,2], for created, running, paused; null for stopped")
def ps_json(case: Case) -> None:
    case.put("created")
    for words in ((), ("start",), ("pause",), ("resume",)):
        if words:
            case.must(*words, case.name)
        done = case.shim("ps", "--format", "json", case.name)
        pid = case.runtime.state(case.name)["pid"]
        case.fact("ps", repr(done.out.replace(str(pid), "PID")))
    case.must("kill", case.name, "KILL")
    case.runtime.until(case.name, "stopped")
    case.fact("ps", repr(case.shim("ps", "--format", "json", case.name).out))


@row("2.3", "events --stats: one line, key order")
def events_stats(case: Case) -> None:
    case.put("running")
    done = case.shim("events", "--stats", case.name)
    case.fact("exit", done.code)
    case.fact("lines", done.out.count("\n"))
    found = json.loads(done.out)
    found["data"].get("memory", {}).pop("raw", None)
    found["data"].get("memory", {}).pop("cache", None)  # left out while it is 0
    for name in keys(found):
        case.fact("key", name)


@row("2.4", "features: JSON only, on both streams, with no global flags")
def features(case: Case) -> None:
    done = case.podman("features")
    case.fact("exit", done.code)
    case.fact("stderr", repr(done.err))
    found = json.loads(done.out)
    case.fact("indent", done.out.splitlines()[1].count(" ", 0, 5))
    for name in keys(found):
        case.fact("key", name)
    for name in ("hooks", "mountOptions"):
        case.fact(name, found[name])
    case.fact("namespaces", found["linux"]["namespaces"])


@row("1.1", "--version")
def version(case: Case) -> None:
    done = case.podman("--version")
    case.fact("exit", done.code)
    case.fact("words", [line.split()[0] for line in done.out.splitlines()])
    case.fact(
        "lines with `version`",
        [n for n, line in enumerate(done.out.splitlines()) if "version" in line],
    )


@row("0.3, 0.5", "create, start, exec -d, kill, delete: silent; the pid file has no newline")
def silence(case: Case) -> None:
    pid_file = case.bundle.path / "init.pid"
    pid_file.touch()
    case.saw(case.shim.create(case.bundle.path, case.name))
    text = pid_file.read_text()
    case.fact("pid file is a number", text.isdigit())
    case.fact("and init's", int(text) == case.runtime.state(case.name)["pid"])
    case.saw(case.shim("start", case.name))
    process = {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["/bin/sleep", "100"]}
    exec_pid = case.directory / "exec.pid"
    exec_pid.touch()
    case.saw(case.shim.exec(case.name, process, exec_pid))
    case.fact("exec's pid file is a number", exec_pid.read_text().isdigit())
    case.saw(case.shim("kill", case.name, "9"))
    case.runtime.until(case.name, "stopped")
    case.saw(case.shim("delete", case.name))


@row("0.7, 3.3", "podman's direct calls: env -i XDG_RUNTIME_DIR=")
def empty_environment(case: Case) -> None:
    case.put("created")
    for words in (("start",), ("pause",), ("resume",)):
        case.saw(case.podman(*words, case.name))
    case.saw(case.podman("kill", case.name, "9"))
    case.runtime.until(case.name, "stopped")
    case.saw(case.podman("state", case.name))
    for _ in range(2):
        case.saw(case.podman("delete", "--force", case.name))


@row("3.1", "update --resources=-, JSON on stdin; unknown members ignored")
def update_stdin(case: Case) -> None:
    case.put("running")
    case.saw(case.shim("update", "--resources=-", case.name, given='{"pids": {"limit": 55}}'))
    case.saw(case.shim("update", "--resources", "-", case.name, given='{"nosuch": {}}'))
    case.saw(case.shim("update", "--resources", "-", case.name, given="{"))
    case.saw(case.shim("update", "--resources", "/nosuch", case.name))
    case.fact("limit", pids_limit(case))


def pids_limit(case: Case) -> str:
    pid = case.runtime.state(case.name)["pid"]
    for text in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = text.split(":", 2)
        for top in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            file = Path(f"{top}{path}/pids.max")
            if (controllers == "pids" or support.V2) and file.exists():
                return file.read_text().strip()
    raise AssertionError


@row("must show", "after an impossible update the old limits are in force")
def update_rolled_back(case: Case) -> None:
    case.put("running")
    case.must("update", "--pids-limit", "55", case.name)
    done = case.shim("update", "--pids-limit", "66", "--cpu-quota", "1", case.name)
    case.fact("exit", done.code)
    case.fact("limit", pids_limit(case))


@row("1.3", "foreground exec and run: the program's code, or 128+signal")
def codes(case: Case) -> None:
    case.put("running")
    for script in ("exit 7", "kill -9 $$", "kill -15 $$", "echo out; echo err >&2"):
        case.saw(case.plain("exec", case.name, "/bin/sh", "-c", script))
    case.saw(case.plain("exec", case.name, "sh", "-c", "echo $0", "-d"))
    name = case.runtime.new_id()
    case.bundle.shell("echo out; echo err >&2; exit 9")
    case.saw(case.plain("run", "-b", str(case.bundle.path), name))
    case.saw(case.plain("state", name))


@row("1.3, 7.8", "execve that fails after the sync point")
def bad_interpreter(case: Case) -> None:
    script = case.bundle.rootfs / "x"
    script.write_text("#!/nosuch\n")
    script.chmod(0o755)
    case.bundle.args("/x")
    case.saw(case.plain("run", "-b", str(case.bundle.path), case.name))


@row("7.9, 3.6", "run --keep: the cgroup and the stopped container stay")
def keep(case: Case) -> None:
    kit = BuildKit(case.runtime, case.directory / "kit")
    case.bundle.shell("exit 4")
    case.fact("exit", wait(kit.run(case.bundle.path, case.name)))
    case.fact("cgroups", bool(support.cgroups_named(case.name)))
    state = case.runtime.state(case.name)
    case.fact("state", (state["status"], state["pid"]))
    case.saw(kit("run", "--bundle", str(case.bundle.path), "--keep", case.name))
    case.saw(kit("delete", case.name))
    case.fact("cgroups", bool(support.cgroups_named(case.name)))


@row("3.6", "BuildKit: run, state polled, exec with a pid file, kill retried")
def buildkit(case: Case) -> None:
    kit = BuildKit(case.runtime, case.directory / "kit")
    run = kit.run(case.bundle.path, case.name)
    try:
        kit.until_running(case.name)
        pid_file = case.directory / "pidfile"
        process = case.directory / "process.json"
        user = {"uid": 0, "gid": 0}
        args = ["/bin/sleep", "100"]
        process.write_text(json.dumps({"cwd": "/", "user": user, "args": args}))
        inside = kit.spawn(
            "exec", "--process", str(process), "--pid-file", str(pid_file), case.name
        )
        pid = in_time("pid file", lambda: pid_file.exists() and pid_file.read_text())
        os.kill(int(pid), signal.SIGKILL)
        case.fact("exec", wait(inside))
        case.fact("run", kit.cancel(case.name, run))
        case.saw(kit("delete", case.name))
    finally:
        kill_group(run)


@row("3.5", "CRI-O: exec in the foreground with pipes, kill -a, delete --force")
def crio(case: Case) -> None:
    caller = CriO(case.runtime, case.directory / "crio")
    case.put("running")
    process = {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", "cat; exit 3"]}
    with (case.directory / "out").open("wb") as out:
        inside = caller.exec(case.name, process, stdin=-1, stdout=out, stderr=out)
        inside.communicate(b"through\n", timeout=60 * support.SLOW)
    case.fact("exec", (inside.returncode, (case.directory / "out").read_text()))
    case.saw(caller("update", "--resources", "-", case.name, given='{"pids": {"limit": 44}}'))
    case.saw(caller("kill", case.name, "15"))
    case.saw(caller("kill", case.name, "KILL"))
    case.runtime.until(case.name, "stopped")
    case.saw(caller("kill", "-a", case.name, "9"))
    for _ in range(2):
        case.saw(caller("delete", "--force", case.name))


@row("3.3", "conmon: a failed create is one read of stderr; delete --force then says nothing")
def conmon_failure(case: Case) -> None:
    case.bundle.args("/nosuch")
    done = case.conmon.create(case.bundle.path, case.name)
    case.fact("exit", done.code)
    case.fact("stderr has the words", "stat /nosuch: no such file or directory" in done.err)
    case.fact("records", len((case.directory / "conmon/oci-log").read_text().splitlines()))
    case.saw(case.podman("delete", "--force", case.name))


@row("1.4", "spec: writes config.json once")
def spec(case: Case) -> None:
    directory = case.directory / "spec"
    directory.mkdir()
    for words in ((), ()):
        case.saw(case.plain("spec", "-b", str(directory), *words))
    case.fact("mode", oct((directory / "config.json").stat().st_mode & 0o777))
    found = json.loads((directory / "config.json").read_text())
    for key in ("process", "root", "hostname", "mounts"):
        case.fact(key, json.dumps(found[key], sort_keys=True))
