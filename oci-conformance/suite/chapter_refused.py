# SPDX-License-Identifier: Apache-2.0
"""What the specification wants refused: a row a clause, and nothing may be left."""

from __future__ import annotations

from typing import Any

import pytest
from clauses import Clause, rows
from harness import Box

PROCESS = "config.md, Process"
LINUX = "config.md, Linux Process"
MOUNTS = "config.md, Mounts"
NAMESPACES = "config-linux.md, Namespaces"
DEVICES = "config-linux.md, Devices"
SECCOMP = "config-linux.md, Seccomp"
RESOURCES = "config-linux.md, Control groups"
KERNEL = "config-linux.md, Sysctl"

Row = tuple[str, str, str, dict[str, Any]]


def scheduler(**members: Any) -> dict[str, Any]:
    return {"process/scheduler": members}


def rule(**members: Any) -> dict[str, Any]:
    return {"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [members]}}


def rlimit(*items: tuple[str, int, int]) -> dict[str, Any]:
    made = [{"type": kind, "soft": soft, "hard": hard} for kind, soft, hard in items]
    return {"process/rlimits": made}


def mount(**members: Any) -> dict[str, Any]:
    return {"mounts/-": {"destination": "/data", "type": "tmpfs", "source": "tmpfs", **members}}


def user_namespace(**members: Any) -> dict[str, Any]:
    return {"linux/namespaces/-": {"type": "user"},
            **{f"linux/{name}": value for name, value in members.items()}}  # fmt: skip


def device(**members: Any) -> dict[str, Any]:
    return {
        "linux/devices": [{"path": "/dev/made", "type": "c", "major": 1, "minor": 3, **members}]
    }


MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]

CONFIG: list[Row] = [
    ("refused.root.missing", "config.md, Root", "root is required on Linux", {"root": None}),
    ("refused.root.path.missing", "config.md, Root", "path must exist", {"root/path": "no-such"}),
    ("refused.root.path.file", "config.md, Root", "path must be a directory",
     {"root/path": "config.json"}),
    ("refused.process.cwd.relative", PROCESS, "cwd must be absolute", {"process/cwd": "tmp"}),
    ("refused.process.cwd.file", PROCESS, "cwd must be a directory", {"process/cwd": "/probe"}),
    ("refused.process.args.empty", PROCESS, "args has at least one entry", {"process/args": []}),
    ("refused.process.user.uid.range", "config.md, User", "uid is a uint32",
     {"process/user/uid": -1}),
    ("refused.process.user.uid.type", "config.md, User", "uid is a number",
     {"process/user/uid": "root"}),
    ("refused.process.rlimits.type", "config.md, POSIX process", "an unknown type: an error",
     rlimit(("RLIMIT_NO_SUCH", 1, 1))),
    ("refused.process.rlimits.duplicate", "config.md, POSIX process", "a type twice: an error",
     rlimit(("RLIMIT_NOFILE", 100, 100), ("RLIMIT_NOFILE", 200, 200))),
    ("refused.process.rlimits.soft-above-hard", "config.md, POSIX process",
     "what setrlimit(2) refuses is an error", rlimit(("RLIMIT_NOFILE", 200, 100))),
    ("refused.process.oomScoreAdj", LINUX, "a value the kernel refuses",
     {"process/oomScoreAdj": 1001}),
    ("refused.process.scheduler.policy", LINUX, "an unknown policy",
     scheduler(policy="SCHED_NONE")),
    ("refused.process.scheduler.policy.missing", LINUX, "policy is required", scheduler(nice=1)),
    ("refused.process.scheduler.nice", LINUX, "nice is -20 to 19",
     scheduler(policy="SCHED_OTHER", nice=20)),
    ("refused.process.scheduler.flags", LINUX, "an unknown flag",
     scheduler(policy="SCHED_OTHER", flags=["SCHED_FLAG_NO_SUCH"])),
    ("refused.process.scheduler.priority", LINUX, "priority is for FIFO and RR",
     scheduler(policy="SCHED_OTHER", priority=5)),
    ("refused.process.scheduler.deadline", LINUX, "runtime is for DEADLINE",
     scheduler(policy="SCHED_BATCH", runtime=1000000)),
    ("refused.process.ioPriority.class", LINUX, "an unknown class",
     {"process/ioPriority": {"class": "IOPRIO_CLASS_NO_SUCH", "priority": 1}}),
    ("refused.process.ioPriority.priority", LINUX, "priority is 0 to 7",
     {"process/ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}),
    ("refused.hostname.host", "config.md, Hostname", "needs a uts namespace",
     {"hostname": "x", "linux/namespaces": [{"type": "pid"}, {"type": "mount"}]}),
    ("refused.domainname.host", "config.md, Domainname", "needs a uts namespace",
     {"domainname": "x", "linux/namespaces": [{"type": "pid"}, {"type": "mount"}]}),
    ("refused.mounts.destination.missing", MOUNTS, "destination is required",
     {"mounts/-": {"type": "tmpfs", "source": "tmpfs"}}),
    ("refused.mounts.source.missing", MOUNTS, "a bind mount's source must exist",
     mount(source="/no/such/source", type="none", options=["bind"])),
    ("refused.mounts.type.unknown", MOUNTS, "a filesystem that the kernel has not",
     mount(type="no-such-filesystem")),
    ("refused.mounts.mappings.one", MOUNTS, "uidMappings and gidMappings: both or none",
     mount(type="none", source="/tmp", options=["bind", "idmap"], uidMappings=MAP)),
    ("refused.mounts.idmap.no-mappings", MOUNTS,
     "idmap without mappings or a user namespace: an error",
     mount(type="none", source="/tmp", options=["bind", "idmap"])),
    ("refused.document", "config.md, Configuration", "config.json is a JSON object",
     {"mounts": "no list"}),
    ("refused.annotations.type", "config.md, Annotations", "values are strings",
     {"annotations": {"org.example.key": {"a": 1}}}),
]  # fmt: skip

CONFIG_LINUX: list[Row] = [
    ("refused.linux.namespaces.type", NAMESPACES, "an unknown type",
     {"linux/namespaces/-": {"type": "no-such"}}),
    ("refused.linux.namespaces.type.missing", NAMESPACES, "type is required",
     {"linux/namespaces/-": {}}),
    ("refused.linux.uidMappings.overlap", "config-linux.md, User namespace mappings",
     "what the kernel refuses is an error",
     user_namespace(uidMappings=[*MAP, *MAP], gidMappings=MAP)),
    ("refused.linux.uidMappings.size", "config-linux.md, User namespace mappings",
     "size must not be 0", user_namespace(
         uidMappings=[{"containerID": 0, "hostID": 100000, "size": 0}], gidMappings=MAP)),
    ("refused.linux.uidMappings.user", "config-linux.md, User namespace mappings",
     "the user must be mapped", {**user_namespace(uidMappings=MAP, gidMappings=MAP),
                                 "process/user/uid": 100000}),
    ("refused.linux.timeOffsets.namespace", "config-linux.md, Offset for Time Namespace",
     "offsets need a time namespace", {"linux/timeOffsets": {"monotonic": {"secs": 5}}}),
    ("refused.linux.timeOffsets.clock", "config-linux.md, Offset for Time Namespace",
     "an unknown clock", {"linux/namespaces/-": {"type": "time"},
                          "linux/timeOffsets": {"wall": {"secs": 5}}}),
    ("refused.linux.devices.type", DEVICES, "an unknown type", device(type="x")),
    ("refused.linux.devices.type.missing", DEVICES, "type is required", device(type="")),
    ("refused.linux.devices.path", DEVICES, "path is required", device(path="")),
    ("refused.linux.devices.mismatch", DEVICES,
     "a file at path that is another device: an error", device(path="/probe")),
    ("refused.linux.cgroupsPath", "config-linux.md, Cgroups Path",
     "an invalid path: an error",
     {"linux/cgroupsPath": "/a\u0000b"}),
    ("refused.linux.sysctl.ipc", KERNEL, "a parameter of the host's ipc namespace",
     {"linux/namespaces": [{"type": "mount"}, {"type": "pid"}],
      "linux/sysctl": {"kernel.msgmax": "9"}}),
    ("refused.linux.sysctl.network", KERNEL, "a parameter of the host's network namespace",
     {"linux/sysctl": {"net.ipv4.ip_forward": "1"}}),
    ("refused.linux.sysctl.global", KERNEL, "a parameter of no namespace",
     {"linux/sysctl": {"vm.swappiness": "61"}}),
    ("refused.linux.sysctl.value", KERNEL, "a value the kernel refuses",
     {"linux/sysctl": {"kernel.msgmax": "many"}}),
    ("refused.linux.sysctl.unknown", KERNEL, "a parameter that is not there",
     {"linux/sysctl": {"fs.mqueue.no_such": "1"}}),
    ("refused.linux.rootfsPropagation", "config-linux.md, Rootfs Mount Propagation",
     "an unknown value", {"linux/rootfsPropagation": "no-such"}),
    ("refused.linux.personality.domain", "config-linux.md, Personality", "an unknown domain",
     {"linux/personality": {"domain": "LINUX128"}}),
    ("refused.linux.intelRdt", "config-linux.md, IntelRdt", "no resctrl: an error",
     {"linux/intelRdt": {"closID": "x", "l3CacheSchema": "L3:0=f"}}),
    ("refused.linux.memoryPolicy.mode", "config-linux.md, Memory policy", "an unknown mode",
     {"linux/memoryPolicy": {"mode": "MPOL_NO_SUCH", "nodes": "0"}}),
    ("refused.linux.netDevices.missing", "config-linux.md, Network Devices",
     "a device that is not there", {"linux/namespaces/-": {"type": "network"},
                                    "linux/netDevices": {"no-such0": {"name": "eth0"}}}),
    ("refused.linux.netDevices.namespace", "config-linux.md, Network Devices",
     "needs a network namespace", {"linux/netDevices": {"no-such0": {}}}),
]  # fmt: skip

SECCOMP_ROWS: list[Row] = [
    ("refused.linux.seccomp.defaultAction", SECCOMP, "defaultAction is required",
     {"linux/seccomp": {"syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}]}}),
    ("refused.linux.seccomp.action", SECCOMP, "an unknown action",
     rule(names=["getpriority"], action="SCMP_ACT_NO_SUCH")),
    ("refused.linux.seccomp.action.missing", SECCOMP, "action is required",
     rule(names=["getpriority"])),
    ("refused.linux.seccomp.architecture", SECCOMP, "an unknown architecture",
     {"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NO_SUCH"],
                        "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}]}}),
    ("refused.linux.seccomp.flags", SECCOMP, "an unknown flag",
     {"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NO_SUCH"],
                        "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}]}}),
    ("refused.linux.seccomp.op", SECCOMP, "an unknown operator",
     rule(names=["getpriority"], action="SCMP_ACT_ERRNO",
          args=[{"index": 0, "value": 1, "op": "SCMP_CMP_NO_SUCH"}])),
    ("refused.linux.seccomp.index", SECCOMP, "an argument beyond the sixth",
     rule(names=["getpriority"], action="SCMP_ACT_ERRNO",
          args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])),
    ("refused.linux.seccomp.errnoRet", SECCOMP, "errnoRet for an action that takes none: an error",
     rule(names=["getpriority"], action="SCMP_ACT_KILL", errnoRet=1)),
    ("refused.linux.seccomp.defaultErrnoRet", SECCOMP,
     "defaultErrnoRet for an action that takes none: an error",
     {"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1,
                        "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}]}}),
    ("refused.linux.seccomp.listenerMetadata", SECCOMP, "listenerMetadata without listenerPath",
     {"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x",
                        "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}]}}),
    ("refused.linux.seccomp.listenerPath", SECCOMP, "a listener that is not there",
     {"linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such/socket",
                        "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_NOTIFY"}]}}),
]  # fmt: skip

RESOURCE_ROWS: list[Row] = [
    ("refused.linux.resources.devices.type", RESOURCES, "an unknown type",
     {"linux/resources/devices": [{"allow": True, "type": "x", "access": "rwm"}]}),
    ("refused.linux.resources.devices.access", RESOURCES, "letters other than r, w and m",
     {"linux/resources/devices": [{"allow": True, "type": "c", "major": 1, "minor": 3,
                                   "access": "x"}]}),
    ("refused.linux.resources.hugepageLimits", RESOURCES, "a size that the kernel has not",
     {"linux/resources/hugepageLimits": [{"pageSize": "3KB", "limit": 0}]}),
    ("refused.linux.resources.unified", RESOURCES, "a file of a controller that is not there",
     {"linux/resources/unified": {"nosuch.max": "1"}}),
    ("refused.linux.resources.unified.path", RESOURCES, "a key that is a path",
     {"linux/resources/unified": {"../memory.max": "1"}}),
    ("refused.linux.resources.cpu.cpus", RESOURCES, "a processor that is not there",
     {"linux/resources/cpu": {"cpus": "5000"}}),
    ("refused.linux.resources.cpu.quota", RESOURCES, "what the kernel refuses is an error",
     {"linux/resources/cpu": {"quota": 5, "period": 100000}}),
    ("refused.linux.resources.memory.type", RESOURCES, "limit is a number",
     {"linux/resources/memory": {"limit": "1G"}}),
    ("refused.linux.resources.rdma", RESOURCES, "a device that is not there",
     {"linux/resources/rdma": {"no_such0": {"hcaHandles": 3}}}),
]  # fmt: skip


# What engines and hand-written bundles do: a runtime may take it, if it says so.
OFTEN_TAKEN: list[Row] = [
    ("refused.process.user.umask", "config.md, User", "umask has permission bits only",
     {"process/user/umask": 0o7777}),
    ("refused.annotations.key", "config.md, Annotations", "keys must not be empty",
     {"annotations": {"": "value"}}),
    ("refused.ociVersion", "config.md, Specification version", "ociVersion is a SemVer version",
     {"ociVersion": "1.0"}),
    ("refused.ociVersion.missing", "config.md, Specification version", "ociVersion is required",
     {"ociVersion": None}),
    ("refused.linux.maskedPaths.relative", "config-linux.md, Masked Paths", "paths are absolute",
     {"linux/maskedPaths": ["secret"]}),
    ("refused.linux.readonlyPaths.relative", "config-linux.md, Readonly Paths",
     "paths are absolute",
     {"linux/readonlyPaths": ["data"]}),
    ("refused.linux.seccomp.names.empty", SECCOMP, "names has at least one entry",
     rule(names=[], action="SCMP_ACT_ERRNO")),
    ("refused.linux.uidMappings.namespace", "config-linux.md, User namespace mappings",
     "mappings need a user namespace", {"linux/uidMappings": MAP, "linux/gidMappings": MAP}),
    ("refused.linux.resources.devices.letters", RESOURCES, "letters beyond r, w and m",
     {"linux/resources/devices": [{"allow": True, "type": "c", "major": 1, "minor": 3,
                                   "access": "rwmx"}]}),
]  # fmt: skip


@rows(OFTEN_TAKEN)
def case_often_taken(box: Box, it: dict[str, Any]) -> None:
    box.put(it).refused(by="start")


@rows(CONFIG)
def case_config(box: Box, it: dict[str, Any]) -> None:
    box.put(it).refused(by="start")


@rows(CONFIG_LINUX)
def case_config_linux(box: Box, it: dict[str, Any]) -> None:
    box.put(it).refused()


@rows(SECCOMP_ROWS)
def case_seccomp(box: Box, it: dict[str, Any]) -> None:
    box.put(it).refused(by="start")


@rows(RESOURCE_ROWS)
def case_resources(box: Box, it: dict[str, Any]) -> None:
    box.put(it).refused()


TEXTS = [("empty", ""), ("truncated", '{"ociVersion": "1.0.2", '), ("null", "null"),
         ("list", "[]"), ("number", "1")]  # fmt: skip


@pytest.mark.clause(
    clause=Clause("refused.json", "config.md, Configuration", "config.json is a JSON object")
)
@pytest.mark.parametrize("it", [text for _, text in TEXTS], ids=[name for name, _ in TEXTS])
def case_json(box: Box, it: str) -> None:
    box.refused(text=it)
