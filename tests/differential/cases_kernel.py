# SPDX-License-Identifier: Apache-2.0
"""Cases about namespaces, sysctls, names, devices and covered paths; and docker's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.differential.case import Case, listed_in
from tests.differential.differ import Box
from tests.lib import support

CASES: dict[str, Case] = {}
case = listed_in(CASES)

DOCKER_SECCOMP = Path("/usr/share/containers/seccomp.json")
DOCKER_CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip
DOCKER_MASKED = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
]  # fmt: skip
DOCKER_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def docker_seccomp() -> dict[str, Any]:
    """The profile of containers-common in OCI's form, for x86-64 and docker's capabilities."""
    profile = json.loads(DOCKER_SECCOMP.read_text())
    rules = []
    for found in profile["syscalls"]:
        needs, without = found.get("includes") or {}, found.get("excludes") or {}
        if "arches" in needs and not {"amd64", "x86_64"} & set(needs["arches"]):
            continue
        if {"amd64", "x86_64"} & set(without.get("arches", [])):
            continue
        if not set(needs.get("caps", [])) <= set(DOCKER_CAPABILITIES):
            continue
        if set(without.get("caps", [])) & set(DOCKER_CAPABILITIES):
            continue
        made = {"names": found["names"], "action": found["action"]}
        if found.get("args"):
            made["args"] = [
                {key: argument[key] for key in ("index", "value", "valueTwo", "op")
                 if key in argument} for argument in found["args"]
            ]  # fmt: skip
        if "errnoRet" in found:
            made["errnoRet"] = found["errnoRet"]
        rules.append(made)
    assert len(rules) > 5
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }


def docker_devices() -> list[dict[str, Any]]:
    numbers = [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)]
    return [
        {"allow": False, "access": "rwm"},
        *({"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
          for major, minor in numbers),
        {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
    ]  # fmt: skip


@case()
def docker(box: Box) -> None:
    """`docker run -h 0123456789ab image probe` of docker 26."""
    box.config["mounts"] = []
    strict = ["nosuid", "noexec", "nodev"]
    box.mount("/proc", "proc", "proc", *strict)
    box.mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
    box.mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666",
              "mode=0620", "gid=5")  # fmt: skip
    box.mount("/sys", "sysfs", "sysfs", *strict, "ro")
    box.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", *strict)
    box.mount("/dev/mqueue", "mqueue", "mqueue", *strict)
    box.mount("/dev/shm", "tmpfs", "shm", *strict, "mode=1777", "size=67108864")
    for name in ("resolv.conf", "hostname", "hosts"):
        source = box.file(f"docker/{name}")
        box.mount(f"/etc/{name}", "bind", str(source), "rbind", "rprivate")
    box.process |= {
        "user": {"uid": 0, "gid": 0, "additionalGids": [0, 1, 2, 3, 4, 6, 10, 11]},
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOSTNAME=0123456789ab"],
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), DOCKER_CAPABILITIES),
        "oomScoreAdj": 0,
    }  # fmt: skip
    del box.process["rlimits"], box.process["noNewPrivileges"]
    box.config["root"]["readonly"] = False
    box.config["hostname"] = "0123456789ab"
    box.linux |= {
        "cgroupsPath": f"/docker/{box.pair.path.name}",
        "namespaces": [{"type": n} for n in ("mount", "network", "uts", "pid", "ipc")],
        "resources": {"devices": docker_devices(), "memory": {}, "cpu": {}},
        "maskedPaths": DOCKER_MASKED,
        "readonlyPaths": DOCKER_READONLY,
        "seccomp": docker_seccomp(),
        "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0",
                   "net.ipv4.ping_group_range": "0 2147483647"},
    }  # fmt: skip
    paths = [f"path={path}" for path in [*DOCKER_MASKED, *DOCKER_READONLY, "/etc/hosts"]]
    box.probe("sysctl=net.ipv4.ip_unprivileged_port_start", "sysctl=net.ipv4.ping_group_range",
              "calls", "fork", *paths)  # fmt: skip


@case()
def block_io_that_asks_for_nothing(box: Box) -> None:
    """As docker 26 writes it."""
    box.linux["resources"] |= {"blockIO": {}, "hugepageLimits": [], "network": {}}


@case()
def block_io_weight_zero(box: Box) -> None:
    """As older engines write it."""
    box.linux["resources"] |= {"blockIO": {"weight": 0}, "cpu": {"shares": 0, "quota": 0}}


@case()
def no_network_namespace(box: Box) -> None:
    box.no_namespace("network")


@case()
def no_pid_namespace(box: Box) -> None:
    box.no_namespace("pid")


@case()
def no_ipc_namespace(box: Box) -> None:
    box.no_namespace("ipc")


@case()
def no_uts_namespace(box: Box) -> None:
    box.no_namespace("uts")
    del box.config["hostname"]


@case()
def cgroup_namespace(box: Box) -> None:
    box.namespace("cgroup")


@case()
def joined_network(box: Box) -> None:
    box.join("network", "net", "--net")


@case()
def joined_uts(box: Box) -> None:
    box.join("uts", "uts", "--uts")
    del box.config["hostname"]


@case()
def joined_uts_with_a_hostname(box: Box) -> None:
    box.join("uts", "uts", "--uts")


@case()
def joined_ipc(box: Box) -> None:
    box.join("ipc", "ipc", "--ipc")
    box.linux["sysctl"] = {"kernel.shm_rmid_forced": "1"}
    box.probe("sysctl=kernel.shm_rmid_forced")


@case()
def joined_pid(box: Box) -> None:
    box.join("pid", "pid", "--pid", "--fork", "--kill-child")


@case()
def joined_cgroup(box: Box) -> None:
    box.join("cgroup", "cgroup", "--cgroup")


@case()
def joined_user(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 65536))
    box.join("user", "user", "--user")


@case()
def joined_user_and_network(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 65536))
    box.join("user", "user", "--user", "--net")
    box.join("network", "net", "--user", "--net")


@case()
def joined_mount(box: Box) -> None:
    box.join("mount", "mnt", "--mount")


def _owned(box: Box) -> None:
    """The mapped root makes the mount points, so the tree has to be its own."""
    for base, names, _ in os.walk(box.rootfs):
        for path in [base, *(f"{base}/{name}" for name in names)]:
            os.chown(path, 100000, 100000, follow_symlinks=False)


def _user(box: Box, *ranges: tuple[int, int, int]) -> None:
    box.namespace("user")
    for name in ("uidMappings", "gidMappings"):
        box.linux[name] = [
            {"containerID": inner, "hostID": outer, "size": size} for inner, outer, size in ranges
        ]


@case()
def user_namespace(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 65536))
    box.probe("path=/proc/kcore", "path=/proc/sys", "path=/sys/firmware")


@case()
def user_namespace_of_a_foreign_tree(box: Box) -> None:
    for name in ("proc", "dev", "sys"):
        (box.rootfs / name).mkdir()
    _user(box, (0, 100000, 65536))


@case()
def user_namespace_of_several_ranges(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 10), (10, 200000, 20), (1000, 300000, 5))
    box.process["user"] = {"uid": 1001, "gid": 1002, "additionalGids": [10, 1000]}


@case()
def user_namespace_of_the_same_ids(box: Box) -> None:
    _user(box, (0, 0, 65536))
    box.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]


@case()
def user_namespace_with_bind_mounts(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 65536))
    box.directory("secret", 0o700)
    box.file("secret/inner/file", "text", 0o644)
    box.mount("/mnt/here", "bind", str(box.path / "secret/inner"), "bind", "ro")
    box.probe("write=/mnt/here/file")


@case()
def user_namespace_without_a_network_one(box: Box) -> None:
    _owned(box)
    _user(box, (0, 100000, 65536))
    box.no_namespace("network")
    box.unmount("/sys/fs/cgroup")
    box.unmount("/sys")
    box.mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")


@case()
def sysctls(box: Box) -> None:
    box.linux["sysctl"] = {
        "net.ipv4.ip_forward": "1",
        "kernel.shm_rmid_forced": "1",
        "net.ipv4.ping_group_range": "0 100",
        "kernel.msgmax": "8000",
        "fs.mqueue.msg_max": "20",
        "net/ipv4/tcp_syncookies": "0",
    }
    names = [name.replace("/", ".") for name in box.linux["sysctl"]]
    box.probe(*(f"sysctl={name}" for name in names))


@case()
def hostname_and_domainname(box: Box) -> None:
    box.config["hostname"] = "a-host"
    box.config["domainname"] = "a-domain"
    box.probe("sysctl=kernel.domainname")


@case()
def devices(box: Box) -> None:
    box.linux["devices"] = [
        {"path": "/dev/a-char", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640},
        {"path": "/dev/a-block", "type": "b", "major": 7, "minor": 0, "uid": 5, "gid": 6},
        {"path": "/dev/a-fifo", "type": "p", "fileMode": 0o622, "uid": 1000, "gid": 1000},
        {"path": "/dev/deep/er/u", "type": "u", "major": 1, "minor": 3, "fileMode": 0o4777},
        {"path": "/outside", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
    ]
    box.config["root"]["readonly"] = False
    box.probe("list=/outside")


@case()
def devices_that_are_default(box: Box) -> None:
    box.linux["devices"] = [
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
        {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o622, "gid": 5},
    ]
    box.linux["resources"]["devices"].append({"allow": True, "type": "c", "access": "rwm"})


@case()
def device_rules(box: Box) -> None:
    """What may be opened and made, not only what is listed."""
    box.linux["devices"] = [
        {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
        {"path": "/dev/loop", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666},
        {"path": "/dev/mem", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666},
    ]
    box.linux["resources"]["devices"] += [
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"},
        {"allow": True, "type": "b", "major": 7, "access": "r"},
        {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 5, "access": "w"},
    ]
    names = ("kmsg", "loop", "mem", "zero", "null", "full", "pts/ptmx", "random", "tty")
    box.probe(*(f"path=/dev/{name}" for name in names))


V2 = (
    *("unshare", "--mount", "--propagation", "private", "--", "sh", "-c"),
    'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"',
    "sh",
)
if support.V2:  # already; and a new mount would take its options from the whole hierarchy
    V2 = ()


@case(prefix=V2)
def v2_default(box: Box) -> None:
    box.namespace("cgroup")
    box.probe("path=/sys/fs/cgroup", "path=/sys/fs/cgroup/cgroup.procs")


@case(prefix=V2)
def v2_without_a_cgroup_namespace(box: Box) -> None:
    box.no_namespace("cgroup")
    box.probe("path=/sys/fs/cgroup", "path=/sys/fs/cgroup/cgroup.procs")


@case(prefix=V2)
def v2_device_rules(box: Box) -> None:
    device_rules(box)
    box.namespace("cgroup")


@case(prefix=V2)
def v2_user_namespace(box: Box) -> None:
    user_namespace(box)
    box.namespace("cgroup")


@case()
def masked_paths(box: Box) -> None:
    box.file("rootfs/masked/file")
    box.file("rootfs/masked/dir/inner")
    (box.rootfs / "masked/link").symlink_to("/masked/file")
    names = ["/masked/file", "/masked/dir", "/masked/nosuch", "/masked/file", "/masked/dir",
             "/proc/self/environ", "/masked/link"]  # fmt: skip
    box.linux["maskedPaths"] = names
    box.probe(*(f"write={name}" for name in names))


@case()
def readonly_paths(box: Box) -> None:
    box.config["root"]["readonly"] = False
    box.file("rootfs/kept/file")
    box.file("rootfs/kept/dir/inner")
    box.file("rootfs/kept/other")
    box.mount("/kept/dir/tmpfs", "tmpfs", "tmpfs", "nosuid", "noexec")
    names = ["/kept/file", "/kept/dir", "/kept/nosuch", "/kept/file", "/kept/dir/tmpfs"]
    box.linux["readonlyPaths"] = names
    box.probe(*(f"write={name}" for name in [*names, "/kept/dir/inner", "/kept/other"]))


@case()
def masked_inside_readonly(box: Box) -> None:
    box.file("rootfs/kept/file")
    box.linux["readonlyPaths"] = ["/kept", "/proc/sys"]
    box.linux["maskedPaths"] = ["/kept/file", "/proc/sys/kernel"]
    box.probe("write=/kept/file", "path=/proc/sys/kernel", "path=/proc/sys/vm")


@case()
def nothing_covered(box: Box) -> None:
    del box.linux["maskedPaths"], box.linux["readonlyPaths"]
    box.probe("path=/proc/sys", "path=/proc/timer_list")


@case()
def readonly_root_false(box: Box) -> None:
    box.config["root"]["readonly"] = False
    box.file("rootfs/file")
    box.probe("write=/file", "path=/")
