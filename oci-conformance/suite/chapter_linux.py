# SPDX-License-Identifier: Apache-2.0
"""config-linux.md: namespaces, mappings, offsets, sysctl; config.md: hostname and domainname."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator

from clauses import holds
from harness import Box, equal, needs_capability, true

NAMESPACES = "config-linux.md, Namespaces"
USERS = "config-linux.md, User namespace mappings"
FILES = {
    "pid": "pid", "mount": "mnt", "uts": "uts", "ipc": "ipc", "network": "net",
    "cgroup": "cgroup", "time": "time", "user": "user",
}  # fmt: skip
FLAGS = {"uts": "--uts", "ipc": "--ipc", "network": "--net", "pid": "--pid", "mount": "--mount"}


def with_namespace(box: Box, kind: str) -> Box:
    box.without(kind).namespace(kind)
    if kind == "user":
        return mapped(box)
    return box


def mapped(box: Box, base: int = 100000) -> Box:
    """Ids of its own: the directories above must let them in."""
    for path in (box.directory, *box.directory.parents):
        if path.stat().st_mode & 0o001 == 0 and path != path.parent:
            path.chmod(0o711)
    mapping = [{"containerID": 0, "hostID": base, "size": 65536}]
    return box.put({"linux/uidMappings": mapping, "linux/gidMappings": mapping})


@holds("linux.namespaces.new", NAMESPACES, "without path: a new namespace", list(FILES))
def case_new(box: Box, it: str) -> None:
    key = f"ns:{FILES[it]}"
    seen = with_namespace(box, it).ask(key)[key]
    true(seen != os.readlink(f"/proc/self/ns/{FILES[it]}") and seen.startswith(FILES[it]),
         "another than the runtime's", seen)  # fmt: skip


@holds("linux.namespaces.inherit", NAMESPACES, "not listed: the runtime's own",
       ["uts", "ipc", "network", "cgroup", "user", "time"])  # fmt: skip
def case_inherit(box: Box, it: str) -> None:
    key = f"ns:{FILES[it]}"
    equal(it, os.readlink(f"/proc/self/ns/{FILES[it]}"), box.without(it).ask(key)[key])


@holds("linux.namespaces.inherit.pid", NAMESPACES, "not listed: the runtime's own pid namespace")
def case_inherit_pid(box: Box) -> None:
    equal("pid", os.readlink("/proc/self/ns/pid"), box.without("pid").ask("ns:pid")["ns:pid"])


@contextlib.contextmanager
def holder(kind: str) -> Iterator[str]:
    """A process in a namespace of its own: the path of that."""
    command = ["unshare", FLAGS[kind], *(["--fork"] if kind == "pid" else []), "sleep", "30"]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    name = "pid_for_children" if kind == "pid" else FILES[kind]
    path = f"/proc/{child.pid}/ns/{name}"
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not _differs(path, f"/proc/self/ns/{FILES[kind]}"):
            time.sleep(0.005)
        yield path
    finally:
        for below in _children(child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(below, 9)
        child.kill()
        child.wait()


def _differs(path: str, own: str) -> bool:
    """Whether a namespace is there and is not ours."""
    with contextlib.suppress(FileNotFoundError):
        return os.readlink(path) != os.readlink(own)
    return False


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
    return []


@holds(
    "linux.namespaces.path",
    NAMESPACES,
    "with path: that namespace",
    ["uts", "ipc", "network", "pid"],
)
def case_join(box: Box, it: str) -> None:
    key = f"ns:{FILES[it]}"
    with holder(it) as path:
        wanted = os.readlink(path)
        box.without(it).namespace(it, path)
        equal(it, wanted, box.ask(key)[key])


@holds("linux.namespaces.path.type", NAMESPACES, "path is of another type: an error",
       ["uts", "ipc", "network", "pid"])  # fmt: skip
def case_wrong_type(box: Box, it: str) -> None:
    other = "ipc" if it != "ipc" else "uts"
    box.without(it).namespace(it, f"/proc/self/ns/{FILES[other]}")
    # /proc/self is the runtime's: the path has to hold for it.
    box.config["linux"]["namespaces"][-1]["path"] = f"/proc/{os.getpid()}/ns/{FILES[other]}"
    box.refused()


@holds("linux.namespaces.path.none", NAMESPACES, "path is no namespace: an error",
       [("missing", "/no/such/path"), ("file", "/etc/passwd"),
        ("relative", "proc/self/ns/uts")])  # fmt: skip
def case_no_namespace(box: Box, it: str) -> None:
    box.without("uts").namespace("uts", it).refused()


@holds("linux.namespaces.duplicate", NAMESPACES, "a type twice: an error", list(FILES))
def case_duplicate(box: Box, it: str) -> None:
    with_namespace(box, it).namespace(it).refused()


@holds("linux.namespaces.pid.first", NAMESPACES, "the program is the first of a new pid namespace")
def case_pid_1(box: Box) -> None:
    equal("pid", "1", box.ask("pid")["pid"])


@holds(
    "linux.namespaces.network.lo",
    "config-linux.md, Network",
    "a new network namespace has lo alone",
)
def case_network(box: Box) -> None:
    seen = box.namespace("network").ask("file:/proc/net/dev")["file:/proc/net/dev"]
    names = [line.partition(":")[0].strip() for line in seen.splitlines()[2:]]
    true("lo" in names and "eth0" not in names, "lo", names)


@holds("hostname", "config.md, Hostname", "is the container's, and not the host's",
       ["a", "name.with.dots", "x" * 64])  # fmt: skip
def case_hostname(box: Box, it: str) -> None:
    before = os.uname().nodename
    equal("hostname", it, box.put({"hostname": it}).ask("hostname")["hostname"])
    equal("the host's", before, os.uname().nodename)


@holds("domainname", "config.md, Domainname", "is the container's", ["example.org"])
def case_domainname(box: Box, it: str) -> None:
    equal("domainname", it, box.put({"domainname": it}).ask("domainname")["domainname"])


@holds("linux.uidMappings", USERS, "are the user namespace's")
def case_uid_map(box: Box) -> None:
    key = "file:/proc/self/uid_map"
    seen = with_namespace(box, "user").ask(key)[key].split()
    equal("uid_map", ["0", "100000", "65536"], seen)


@holds("linux.gidMappings", USERS, "are the user namespace's")
def case_gid_map(box: Box) -> None:
    key = "file:/proc/self/gid_map"
    seen = with_namespace(box, "user").ask(key)[key].split()
    equal("gid_map", ["0", "100000", "65536"], seen)


@holds("linux.uidMappings.several", USERS, "more than one line")
def case_more_maps(box: Box) -> None:
    lines = [{"containerID": 0, "hostID": 100000, "size": 10},
             {"containerID": 10, "hostID": 200000, "size": 5}]  # fmt: skip
    with_namespace(box, "user").put({"linux/uidMappings": lines, "linux/gidMappings": lines})
    key = "file:/proc/self/uid_map"
    equal("uid_map", ["0", "100000", "10", "10", "200000", "5"], box.ask(key)[key].split())


@holds(
    "linux.uidMappings.identity", USERS, "ids inside are the container's, outside the mapped ones"
)
def case_mapped_ids(box: Box) -> None:
    with_namespace(box, "user").put({"process/user/uid": 5, "process/user/gid": 6})
    box.create("ids", "signal").start()
    box.until_said("ready")
    equal("inside", "5 5 5 6 6 6", box.answers()["ids"])
    with open(f"/proc/{box.pids[0]}/status") as file:
        uid = next(line.split()[1] for line in file if line.startswith("Uid:"))
    equal("outside", "100005", uid)


@holds(
    "linux.uidMappings.root-unchanged",
    USERS,
    "the runtime should not change the owners of the root",
)
def case_root_unchanged(box: Box) -> None:
    with_namespace(box, "user").ask("pid")
    equal("owner of the probe", 0, (box.rootfs / "probe").stat().st_uid)


@holds("linux.timeOffsets", "config-linux.md, Offset for Time Namespace", "shift the clock",
       ["monotonic", "boottime"])  # fmt: skip
def case_time_offsets(box: Box, it: str) -> None:
    needs_capability("CAP_SYS_TIME", "to set the offsets of a time namespace")
    box.namespace("time").put({f"linux/timeOffsets/{it}": {"secs": 100000, "nanosecs": 5}})
    clock = time.CLOCK_MONOTONIC if it == "monotonic" else time.CLOCK_BOOTTIME
    seen = int(box.ask(it)[it]) - time.clock_gettime(clock)
    true(99900 < seen <= 100001, "100000 s ahead", f"{seen:.0f} s")


SYSCTLS = [
    ("kernel.msgmax", ("kernel.msgmax", "ipc", "4096")),
    ("kernel.shmmni", ("kernel.shmmni", "ipc", "1000")),
    ("kernel.sem", ("kernel.sem", "ipc", "100\t1000\t50\t64")),
    ("fs.mqueue.msg_max", ("fs.mqueue.msg_max", "ipc", "20")),
    ("net.ipv4.ip_forward", ("net.ipv4.ip_forward", "network", "1")),
    ("net.core.somaxconn", ("net.core.somaxconn", "network", "321")),
    ("net.ipv4.ping_group_range", ("net.ipv4.ping_group_range", "network", "0\t5")),
    ("kernel.domainname", ("kernel.domainname", "uts", "example.net")),
]  # fmt: skip


@holds("linux.sysctl", "config-linux.md, Sysctl", "the parameters are set", SYSCTLS)
def case_sysctl(box: Box, it: tuple[str, str, str]) -> None:
    name, namespace, value = it
    box.without(namespace).namespace(namespace)
    key = "file:/proc/sys/" + name.replace(".", "/")
    box.put({"linux/sysctl": {name: value}})
    equal(name, value.split(), box.ask(key)[key].split())


@holds("linux.sysctl.slashes", "config-linux.md, Sysctl", "a name may be written with slashes")
def case_sysctl_slashes(box: Box) -> None:
    key = "file:/proc/sys/net/ipv4/ip_forward"
    box.namespace("network").put({"linux/sysctl": {"net/ipv4/ip_forward": "1"}})
    equal("ip_forward", "1", box.ask(key)[key].strip())
