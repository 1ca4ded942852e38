# SPDX-License-Identifier: Apache-2.0
"""runtime.md: the state, the life of a container, and its operations."""

from __future__ import annotations

import json
import os
import signal

from clauses import holds
from harness import Box, Broken, equal, true

OPERATIONS = "runtime.md, Operations"
STATE = "runtime.md, State"
LIFE = "runtime.md, Lifecycle"


@holds("state.members", STATE, "ociVersion, id, status and bundle are required",
       ["ociVersion", "id", "status", "bundle"])  # fmt: skip
def case_members(box: Box, it: str) -> None:
    seen = box.create().state().get(it)
    true(isinstance(seen, str) and seen, f"{it} is a string that is not empty", repr(seen))


@holds("state.id", STATE, "id is the container's")
def case_id(box: Box) -> None:
    equal("id", box.id, box.create().state()["id"])


@holds("state.bundle", STATE, "bundle is the absolute path of the bundle")
def case_bundle(box: Box) -> None:
    equal("bundle", str(box.bundle), box.create().state()["bundle"])


@holds("state.bundle.relative", STATE, "bundle is absolute, however create was given it")
def case_relative_bundle(box: Box) -> None:
    (box.bundle / "config.json").write_text(json.dumps(box.config))
    code, _ = box.runtime("create", "--bundle", "bundle", box.id, out=box.out, cwd=box.directory)
    equal("create", 0, code)
    equal("bundle", str(box.bundle), box.state()["bundle"])


@holds("state.pid", STATE, "pid is required while the container is created or running",
       ["created", "running"])  # fmt: skip
def case_pid(box: Box, it: str) -> None:
    box.create("signal")
    if it == "running":
        box.start()
    pid = box.state().get("pid")
    true(isinstance(pid, int) and pid > 0 and os.path.exists(f"/proc/{pid}"), "a live pid", pid)


@holds("state.pid.runtime", STATE, "pid is as the runtime's pid namespace has it")
def case_pid_seen_from_outside(box: Box) -> None:
    box.create("signal").start()
    box.until_said("ready")
    with open(f"/proc/{box.state()['pid']}/cmdline") as file:
        equal("the program of pid", "/probe", file.read().split("\0")[0])


@holds("state.pid.stopped", STATE, "a stopped container has no pid that lives")
def case_pid_of_a_stopped(box: Box) -> None:
    box.create("exit:0").start().wait()
    box.until("stopped")
    true(not box.state().get("pid"), "no pid, or 0", box.state().get("pid"))


@holds("state.status", STATE, "status is created, running or stopped",
       ["created", "running", "stopped"])  # fmt: skip
def case_status(box: Box, it: str) -> None:
    box.create("signal" if it == "running" else "exit:0")
    if it != "created":
        box.start()
    if it == "stopped":
        box.wait()
        box.until("stopped")
    equal("status", it, box.state()["status"])


@holds("state.annotations", STATE, "annotations are the container's")
def case_annotations(box: Box) -> None:
    box.put({"annotations": {"org.example.one": "1", "org.example.two": "a b\n"}})
    seen = box.create().state().get("annotations") or {}
    for key, value in box.config["annotations"].items():
        equal(key, value, seen.get(key))


@holds("state.ociVersion", STATE, "ociVersion is a SemVer version that the state complies with")
def case_oci_version(box: Box) -> None:
    seen = str(box.create().state()["ociVersion"])
    true(seen.startswith("1.") and seen.count(".") >= 2, "a version of major 1", seen)


@holds("operations.state.unknown", OPERATIONS, "state of a container that does not exist: an error")
def case_state_of_nothing(box: Box) -> None:
    true(not box.exists(), "an error", "success")


@holds("operations.no-id", OPERATIONS, "an operation without an id: an error",
       ["state", "create", "start", "kill", "delete"])  # fmt: skip
def case_no_id(box: Box, it: str) -> None:
    (box.bundle / "config.json").write_text(json.dumps(box.config))
    extra = ["--bundle", str(box.bundle)] if it == "create" else []
    true(box.runtime(it, *extra, out=box.out)[0] != 0, "an error", "success")


@holds("operations.unknown-id", OPERATIONS, "an operation on what does not exist: an error",
       ["start", "kill", "delete"])  # fmt: skip
def case_unknown_id(box: Box, it: str) -> None:
    extra = ["TERM"] if it == "kill" else []
    true(box.runtime(it, box.id, *extra, out=box.out)[0] != 0, "an error", "success")


@holds("operations.create.duplicate", OPERATIONS, "an id in use: an error, and no new container")
def case_duplicate(box: Box) -> None:
    before = box.create("signal").state()
    true(box.runtime("create", "--bundle", str(box.bundle), box.id, out=box.out)[0] != 0,
         "an error", "success")  # fmt: skip
    equal("the first container's pid", before["pid"], box.state()["pid"])


@holds(
    "operations.create.invalid-id",
    OPERATIONS,
    "an invalid id: an error, and no container",
    [("empty", ""), ("slash", "a/b"), ("dots", ".."), ("climbs", "../a")],
)
def case_invalid_id(box: Box, it: str) -> None:
    (box.bundle / "config.json").write_text(json.dumps(box.config))
    code, _ = box.runtime("create", "--bundle", str(box.bundle), it, out=box.out)
    if code == 0:
        box.ids.append(it)
        raise Broken("an error", "success")


@holds("operations.create.new", OPERATIONS, "an id can be used again after delete")
def case_reuse(box: Box) -> None:
    box.ask("pid")
    box.ask("pid")


@holds("operations.create.not-started", OPERATIONS, "create must not run the program")
def case_not_started(box: Box) -> None:
    box.create("pid")
    equal("what the program has written", {}, box.answers())


@holds("operations.create.config-read-once", OPERATIONS,
       "a change of config.json after create has no effect")  # fmt: skip
def case_read_once(box: Box) -> None:
    box.create("cwd")
    text = (box.bundle / "config.json").read_text()
    (box.bundle / "config.json").write_text(text.replace('"cwd": "/"', '"cwd": "/tmp"'))
    box.start().wait()
    equal("the directory", {"cwd": "/"}, box.answers())


@holds("operations.create.config-gone", OPERATIONS, "config.json is not needed after create")
def case_config_gone(box: Box) -> None:
    box.create("pid")
    (box.bundle / "config.json").unlink()
    box.start().wait()
    box.until("stopped")
    box.delete()
    equal("the program's answer", {"pid": "1"}, box.answers())


@holds("operations.create.nothing-left", LIFE + ", Errors",
       "after a create that failed the environment is as before")  # fmt: skip
def case_nothing_left(box: Box) -> None:
    box.put({"process/args": ["/no-such-program"]})
    path = f"/{box.id}"
    box.put({"linux/cgroupsPath": path})
    if box.try_create() == 0:
        code, _ = box.runtime("start", box.id, out=box.out)
        true(code != 0, "create or start refuses a program that is not there", "success")
        return
    true(not box.exists(), "no state", "a state")
    left = [
        top for top in os.listdir("/sys/fs/cgroup") if os.path.exists(f"/sys/fs/cgroup/{top}{path}")
    ]
    equal("cgroups left", [], left)
    box.put({"process/args": ["/probe", "pid"]})
    box.ask("pid")


@holds("operations.create.no-config", "bundle.md, Filesystem Bundle", "config.json must be there")
def case_no_config(box: Box) -> None:
    (box.bundle / "config.json").unlink(missing_ok=True)
    code, _ = box.runtime("create", "--bundle", str(box.bundle), box.id, out=box.out)
    true(code != 0, "an error", "success")


@holds("operations.create.no-bundle", OPERATIONS, "a bundle that does not exist: an error")
def case_no_bundle(box: Box) -> None:
    code, _ = box.runtime("create", "--bundle", str(box.directory / "no"), box.id, out=box.out)
    true(code != 0, "an error", "success")


@holds("operations.start.runs", OPERATIONS, "start runs the program of process")
def case_start(box: Box) -> None:
    equal("the program's answer", {"pid": "1"}, box.ask("pid"))


@holds("operations.start.twice", OPERATIONS, "start of what is not created: an error, no effect",
       ["running", "stopped"])  # fmt: skip
def case_start_twice(box: Box, it: str) -> None:
    box.create("signal" if it == "running" else "pid").start()
    if it == "stopped":
        box.wait()
        box.until("stopped")
    else:
        box.until_said("ready")
    true(box.runtime("start", box.id, out=box.out)[0] != 0, "an error", "success")
    equal("status", it, box.state()["status"])


@holds("operations.kill.signal", OPERATIONS, "kill sends the given signal to the program",
       ["TERM", "HUP", "USR1", "INT", "WINCH", "SIGUSR2", "10", "QUIT", "CONT"])  # fmt: skip
def case_kill(box: Box, it: str) -> None:
    box.create("signal").start()
    box.until_said("ready")
    box.kill(it)
    box.wait()
    number = it if it.isdigit() else str(int(getattr(signal, "SIG" + it.removeprefix("SIG"))))
    equal("the signal caught", number, box.answers().get("caught"))


@holds("operations.kill.kill", OPERATIONS, "KILL ends it", ["created", "running"])
def case_kill_kill(box: Box, it: str) -> None:
    box.create("signal")
    if it == "running":
        box.start()
    box.kill("KILL")
    box.wait()
    box.until("stopped")


@holds("operations.kill.stopped", OPERATIONS, "kill of a stopped container: an error, no effect")
def case_kill_stopped(box: Box) -> None:
    box.create("pid").start().wait()
    box.until("stopped")
    true(box.runtime("kill", box.id, "TERM", out=box.out)[0] != 0, "an error", "success")
    equal("status", "stopped", box.state()["status"])


@holds(
    "operations.delete.running", OPERATIONS, "delete of a running container: an error, no effect"
)
def case_delete_running(box: Box) -> None:
    box.create("signal").start()
    box.until_said("ready")
    true(box.runtime("delete", box.id, out=box.out)[0] != 0, "an error", "success")
    equal("status", "running", box.state()["status"])


@holds(
    "operations.delete.created", OPERATIONS, "delete of a created container: an error, no effect"
)
def case_delete_created(box: Box) -> None:
    box.create("pid")
    true(box.runtime("delete", box.id, out=box.out)[0] != 0, "an error", "success")


@holds("operations.delete.gone", OPERATIONS, "after delete there is no container of that id")
def case_delete(box: Box) -> None:
    box.ask("pid")
    true(not box.exists(), "state: an error", "success")


@holds("operations.delete.cgroup", OPERATIONS, "delete removes what create made: its cgroup")
def case_delete_cgroup(box: Box) -> None:
    path = f"/{box.id}"
    box.put({"linux/cgroupsPath": path}).ask("pid")
    tops = ["", *os.listdir("/sys/fs/cgroup")]
    left = [top for top in tops if os.path.exists(f"/sys/fs/cgroup/{top}{path}")]
    equal("cgroups left", [], left)


@holds(
    "operations.delete.nothing-else", OPERATIONS, "delete removes nothing that create has not made"
)
def case_delete_nothing_else(box: Box) -> None:
    box.ask("pid")
    true((box.rootfs / "probe").exists() and (box.bundle / "config.json").exists(),
         "the bundle is whole", sorted(os.listdir(box.bundle)))  # fmt: skip


@holds("lifecycle.mounts-stay-inside", LIFE, "what create made is undone: no mount is left outside")
def case_no_mounts_left(box: Box) -> None:
    box.mount("/data", "tmpfs", "tmpfs").ask("mount:/data")
    with open("/proc/self/mountinfo") as file:
        equal("mounts left", [], [line for line in file if str(box.directory) in line])
