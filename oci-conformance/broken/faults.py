# SPDX-License-Identifier: Apache-2.0
"""What a broken runtime does wrong, and what in clauses' names has to catch it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

Config = dict[str, Any]


def forget(*path: str) -> Callable[[Config], None]:
    """Act as if a member were not there."""

    def edit(config: Config) -> None:
        for key in path[:-1]:
            config = config[key]
        del config[path[-1]]

    return edit


def no_last_mount(config: Config) -> None:
    del config["mounts"][-1]


def no_mount_options(config: Config) -> None:
    for mount in config["mounts"]:
        kept = ("bind", "rbind", "newinstance", "ptmxmode=0666")
        mount["options"] = [word for word in mount.get("options", []) if word in kept]


def mounts_backwards(config: Config) -> None:
    config["mounts"][2:] = config["mounts"][:1:-1]


def keep_a_capability(config: Config) -> None:
    for names in config["process"]["capabilities"].values():
        names.append("CAP_SETUID")


def one_kill_rule_less(config: Config) -> None:
    del config["linux"]["seccomp"]["syscalls"][0]


def no_ipc_namespace(config: Config) -> None:
    spaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [one for one in spaces if one["type"] != "ipc"]


def join_nothing(config: Config) -> None:
    for one in config["linux"]["namespaces"]:
        one.pop("path", None)


def duplicates_merged(config: Config) -> None:
    seen: dict[str, Any] = {one["type"]: one for one in config["linux"]["namespaces"]}
    config["linux"]["namespaces"] = list(seen.values())


def root_user(config: Config) -> None:
    config["process"]["user"]["uid"] = 0


def root_group(config: Config) -> None:
    config["process"]["user"]["gid"] = 0


def every_device(config: Config) -> None:
    config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]


def hooks_that_cannot_fail(config: Config) -> None:
    for hooks in config["hooks"].values():
        for hook in hooks:
            script = '"$0" "$@"; exit 0'
            hook["args"] = ["sh", "-c", script, hook["path"], *hook["args"][1:]]
            hook["path"] = "/bin/sh"


def hooks_backwards(config: Config) -> None:
    for hooks in config["hooks"].values():
        hooks.reverse()


def hooks_without_env(config: Config) -> None:
    for hooks in config["hooks"].values():
        for hook in hooks:
            hook["env"] = []


def smaller_rlimit(config: Config) -> None:
    for limit in config["process"]["rlimits"]:
        limit["soft"] -= 1


def no_time_limit(config: Config) -> None:
    for hooks in config["hooks"].values():
        for hook in hooks:
            del hook["timeout"]


# Edits of config.json: the fault, and the clauses.
FAULTS: dict[str, tuple[Callable[[Config], None], str]] = {
    "mount-dropped": (no_last_mount, "mounts.order.nested"),
    "mount-options-dropped": (no_mount_options, "mounts.options[ro]"),
    "mounts-backwards": (mounts_backwards, "mounts.order"),
    "readonly-root-forgotten": (forget("root", "readonly"), "root.readonly"),
    "propagation-forgotten": (forget("linux", "rootfsPropagation"), "rootfsPropagation"),
    "capability-kept": (keep_a_capability, "process.capabilities.denied"),
    "capabilities-forgotten": (forget("process", "capabilities"), "process.capabilities["),
    "no-new-privileges-forgotten": (forget("process", "noNewPrivileges"), "noNewPrivileges"),
    "uid-forgotten": (root_user, "process.user.uid"),
    "gid-forgotten": (root_group, "process.user.gid"),
    "groups-forgotten": (forget("process", "user", "additionalGids"), "additionalGids"),
    "umask-forgotten": (forget("process", "user", "umask"), "process.user.umask"),
    "environment-forgotten": (forget("process", "env"), "process.env"),
    "rlimits-forgotten": (forget("process", "rlimits"), "process.rlimits"),
    "rlimit-smaller": (smaller_rlimit, "process.rlimits[NOFILE]"),
    "oom-score-forgotten": (forget("process", "oomScoreAdj"), "process.oomScoreAdj"),
    "scheduler-forgotten": (forget("process", "scheduler"), "process.scheduler"),
    "hostname-forgotten": (forget("hostname"), "hostname"),
    "annotations-forgotten": (forget("annotations"), "state.annotations"),
    "namespace-forgotten": (no_ipc_namespace, "linux.namespaces.new"),
    "namespace-not-joined": (join_nothing, "linux.namespaces.path"),
    "namespace-twice": (duplicates_merged, "linux.namespaces.duplicate"),
    "sysctl-forgotten": (forget("linux", "sysctl"), "linux.sysctl"),
    "mask-forgotten": (forget("linux", "maskedPaths"), "maskedPaths"),
    "readonly-path-forgotten": (forget("linux", "readonlyPaths"), "readonlyPaths"),
    "device-forgotten": (forget("linux", "devices"), "devices["),
    "device-rules-forgotten": (every_device, "linux.resources.devices"),
    "limits-forgotten": (forget("linux", "resources"), "linux.resources["),
    "cgroups-path-forgotten": (forget("linux", "cgroupsPath"), "linux.cgroupsPath"),
    "seccomp-forgotten": (forget("linux", "seccomp"), "linux.seccomp.action"),
    "seccomp-rule-dropped": (one_kill_rule_less, "linux.seccomp.op"),
    "personality-forgotten": (forget("linux", "personality"), "linux.personality"),
    "mappings-swapped": (forget("linux", "gidMappings"), "linux.gidMappings"),
    "hooks-forgotten": (forget("hooks"), "hooks.run"),
    "hook-failure-ignored": (hooks_that_cannot_fail, "hooks.failure.create"),
    "hooks-backwards": (hooks_backwards, "hooks.order"),
    "hook-environment-forgotten": (hooks_without_env, "hooks.env"),
    "hook-time-limit-forgotten": (no_time_limit, "hooks.timeout["),
}


def _answer(runtime: str, arguments: list[str], **changes: Any) -> int:
    """The true state, with members changed."""
    done = subprocess.run([runtime, *arguments], check=False, capture_output=True, text=True)
    if done.returncode == 0:
        print(json.dumps({**json.loads(done.stdout), **changes}))
    return done.returncode


def always_running(verb: str, runtime: str, arguments: list[str]) -> int:
    if verb == "state":
        return _answer(runtime, arguments, status="running")
    return subprocess.call([runtime, *arguments])


def another_pid(verb: str, runtime: str, arguments: list[str]) -> int:
    if verb == "state":
        return _answer(runtime, arguments, pid=2**22 - 7)
    return subprocess.call([runtime, *arguments])


def never_an_error(verb: str, runtime: str, arguments: list[str]) -> int:
    subprocess.call([runtime, *arguments])
    return 0


def errors_of_create_hidden(verb: str, runtime: str, arguments: list[str]) -> int:
    code = subprocess.call([runtime, *arguments])
    return 0 if verb == "create" else code


def another_signal(verb: str, runtime: str, arguments: list[str]) -> int:
    if verb == "kill" and arguments[-1] != "KILL":
        arguments = [*arguments[:-1], "TERM"]
    return subprocess.call([runtime, *arguments])


def delete_by_force(verb: str, runtime: str, arguments: list[str]) -> int:
    if verb == "delete":
        at = arguments.index("delete")
        arguments = [*arguments[: at + 1], "--force", *arguments[at + 1 :]]
    return subprocess.call([runtime, *arguments])


def delete_nothing(verb: str, runtime: str, arguments: list[str]) -> int:
    return 0 if verb == "delete" else subprocess.call([runtime, *arguments])


def start_in_create(verb: str, runtime: str, arguments: list[str]) -> int:
    code = subprocess.call([runtime, *arguments])
    if verb == "create" and code == 0:
        at = arguments.index("create")
        subprocess.call([runtime, *arguments[:at], "start", arguments[-1]])
    return 0 if verb == "start" else code


Lie = Callable[[str, str, list[str]], int]
LIES: dict[str, tuple[Lie, str]] = {
    "state-always-running": (always_running, "state.status"),
    "state-another-pid": (another_pid, "state.pid"),
    "never-an-error": (never_an_error, "operations.unknown-id"),
    "create-hides-errors": (errors_of_create_hidden, "operations.create.no-config"),
    "kill-another-signal": (another_signal, "operations.kill.signal"),
    "delete-by-force": (delete_by_force, "operations.delete.running"),
    "delete-nothing": (delete_nothing, "operations.delete.gone"),
    "started-by-create": (start_in_create, "operations.create.not-started"),
}
