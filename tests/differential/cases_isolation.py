# SPDX-License-Identifier: Apache-2.0
"""Cases about user namespaces, ordinary users, and options that go together."""

from __future__ import annotations

import os
from pathlib import Path

from tests.differential.case import Case, listed_in
from tests.differential.cases_kernel import _owned, _user
from tests.differential.differ import Box
from tests.lib import support

CASES: dict[str, Case] = {}
case = listed_in(CASES)

ORDINARY = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups")


def _rootless(box: Box) -> None:
    """All that an ordinary user can have, and a tree that is his."""
    from pyrunc.spec.template import default_spec

    made = default_spec(True, 1000, 1000, support.V2)
    made["process"] |= {"terminal": False, "args": box.process["args"]}
    box.config.clear()
    box.config.update(made)
    box.process, box.linux = made["process"], made["linux"]
    box.probe()
    for place in (box.path, *(runtime.root for runtime in box.pair.runtimes.values())):
        for path in (place, *place.rglob("*")):
            os.lchown(path, 1000, 1000)


def _in_namespace(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 65536))


@case(prefix=ORDINARY)
def rootless(box: Box) -> None:
    _rootless(box)


@case(prefix=ORDINARY)
def rootless_with_a_hostname(box: Box) -> None:
    _rootless(box)
    box.config["hostname"] = "mine"


@case(prefix=ORDINARY)
def rootless_with_a_tmpfs(box: Box) -> None:
    _rootless(box)
    box.mount("/scratch", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", "size=64k")
    box.probe("write=/scratch/new")


@case(prefix=ORDINARY)
def rootless_with_a_bind_mount(box: Box) -> None:
    _rootless(box)
    box.file("mine/file")
    os.chown(box.path / "mine", 1000, 1000)
    os.chown(box.path / "mine/file", 1000, 1000)
    box.mount("/mnt", "bind", str(box.path / "mine"), "bind", "ro")
    box.probe("write=/mnt/file", "list=/mnt")


@case(prefix=ORDINARY)
def rootless_with_less_capabilities(box: Box) -> None:
    _rootless(box)
    kept = ["CAP_KILL", "CAP_CHOWN"]
    box.process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), kept)


@case(prefix=ORDINARY)
def rootless_with_limits_of_its_own(box: Box) -> None:
    _rootless(box)
    box.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]


@case(prefix=ORDINARY)
def rootless_with_masked_paths(box: Box) -> None:
    _rootless(box)
    box.linux["maskedPaths"] = ["/proc/keys", "/proc/acpi", "/sys/firmware"]
    box.linux["readonlyPaths"] = ["/proc/sys", "/proc/bus"]
    box.probe("path=/proc/keys", "path=/proc/sys", "path=/sys/firmware")


@case(prefix=ORDINARY)
def rootless_with_a_filter(box: Box) -> None:
    _rootless(box)
    box.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}],
    }


@case(prefix=ORDINARY)
def rootless_with_a_network(box: Box) -> None:
    _rootless(box)
    box.namespace("network")
    box.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    box.probe("sysctl=net.ipv4.ip_forward")


@case(prefix=ORDINARY)
def rootless_writable(box: Box) -> None:
    _rootless(box)
    box.config["root"]["readonly"] = False
    box.process["cwd"] = "/new/directory"
    box.probe("write=/file")


@case()
def user_namespace_user_1000(box: Box) -> None:
    _in_namespace(box)
    box.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 7]}


@case()
def user_namespace_without_capabilities(box: Box) -> None:
    _in_namespace(box)
    box.process["capabilities"] = {}


@case()
def user_namespace_with_tmpfs_and_devices(box: Box) -> None:
    _in_namespace(box)
    box.mount("/scratch", "tmpfs", "tmpfs", "mode=1777", "size=64k")
    box.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    box.probe("write=/scratch/new", "path=/dev/kmsg")


@case()
def user_namespace_with_sysctls(box: Box) -> None:
    _in_namespace(box)
    box.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}
    box.probe("sysctl=net.ipv4.ip_forward", "sysctl=kernel.shm_rmid_forced")


@case()
def user_namespace_with_names(box: Box) -> None:
    _in_namespace(box)
    box.config["hostname"] = "mapped"
    box.config["domainname"] = "example"
    box.probe("sysctl=kernel.domainname")


@case()
def user_namespace_with_a_filter(box: Box) -> None:
    _in_namespace(box)
    box.process["noNewPrivileges"] = False
    box.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
    }


@case()
def user_namespace_with_rlimits_and_oom_score(box: Box) -> None:
    _in_namespace(box)
    box.process["rlimits"] = [{"type": "RLIMIT_NPROC", "soft": 50, "hard": 60}]
    box.process["oomScoreAdj"] = 300


@case()
def user_namespace_writable(box: Box) -> None:
    _in_namespace(box)
    box.config["root"]["readonly"] = False
    box.probe("write=/file")


@case()
def user_namespace_with_a_readonly_tree_of_mounts(box: Box) -> None:
    _in_namespace(box)
    box.file("data/file")
    box.mount("/a", "bind", str(box.path / "data"), "rbind", "rro", "nosuid")
    box.mount("/b", "bind", str(box.path / "data"), "rbind", "ro", "rprivate")
    box.probe("write=/a/file", "write=/b/file")


@case()
def recursive_options(box: Box) -> None:
    box.file("data/file")
    for option in ("rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rrelatime"):
        box.mount(f"/mnt/{option}", "bind", str(box.path / "data"), "rbind", option)


@case()
def recursive_options_undone(box: Box) -> None:
    box.file("data/file")
    options = ("rro", "rrw", "rnosuid", "rsuid", "rnoexec", "rexec", "rnodev", "rdev")
    box.mount("/mnt", "bind", str(box.path / "data"), "rbind", *options)


@case()
def access_times(box: Box) -> None:
    box.file("data/file")
    for option in ("noatime", "relatime", "strictatime", "nodiratime"):
        box.mount(f"/mnt/{option}", "bind", str(box.path / "data"), "bind", option)
        box.mount(f"/tmp/{option}", "tmpfs", "tmpfs", option)


@case()
def superblock_options(box: Box) -> None:
    box.mount("/a", "tmpfs", "tmpfs", "sync", "dirsync", "size=8k")
    box.mount("/b", "tmpfs", "tmpfs", "lazytime", "nr_inodes=10")
    box.mount("/c", "tmpfs", "tmpfs", "uid=5", "gid=6", "mode=750")
    box.probe("path=/c")


@case()
def no_symbolic_links_followed(box: Box) -> None:
    box.file("data/file")
    (box.path / "data/link").symlink_to("file")
    box.mount("/mnt", "bind", str(box.path / "data"), "bind", "nosymfollow")
    box.probe("path=/mnt/link", "list=/mnt")


@case()
def many_mounts(box: Box) -> None:
    for number in range(60):
        box.mount(f"/m/{number}", "tmpfs", "tmpfs", "size=4k", "ro" if number % 2 else "rw")


@case()
def deep_destinations(box: Box) -> None:
    box.file("data/file")
    box.mount("/a/b/c/d/e/f", "bind", str(box.path / "data"), "bind")
    box.mount("/a/b/file", "bind", str(box.path / "data/file"), "bind", "ro")


@case()
def all_capabilities(box: Box) -> None:
    from pyrunc.spec.names import CAPABILITIES

    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    known = [name for name in CAPABILITIES[: last + 1] if name != "CAP_SYS_RESOURCE"]
    for name in ("bounding", "effective", "permitted", "inheritable"):
        box.process["capabilities"][name] = known


@case()
def nobody_without_new_privileges(box: Box) -> None:
    box.process["user"] = {"uid": 65534, "gid": 65534}
    box.process["noNewPrivileges"] = True
    box.process["capabilities"] = {"bounding": ["CAP_KILL"]}


@case()
def large_ids(box: Box) -> None:
    box.process["user"] = {"uid": 2147483647, "gid": 2147483646, "additionalGids": [2147483645]}


@case()
def a_long_environment_and_arguments(box: Box) -> None:
    box.process["env"] += [f"VARIABLE_{number}={'x' * number}" for number in range(200)]
    box.probe(*(f"path=/nosuch/{number}" for number in range(50)))


@case(status=126)
def exit_code_of_a_shell_that_cannot(box: Box) -> None:
    box.process["args"] = ["/bin/sh", "-c", "exit 126"]
