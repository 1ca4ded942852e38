# SPDX-License-Identifier: Apache-2.0
"""Documents, hosts and callers for the tests of the plan: fixed ones and random ones."""

from __future__ import annotations

import copy
import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from pyrunc.host.facts import HostFacts
from pyrunc.plan import compile as compiler
from pyrunc.plan import criu, joining
from pyrunc.plan.context import Options
from pyrunc.plan.encode import encode
from pyrunc.plan.plan import Plan
from pyrunc.spec import load
from pyrunc.spec.names import CAPABILITIES, NAMESPACES
from pyrunc.spec.template import default_spec

HYBRID = (
    ("cpu,cpuacct", ("cpu", "cpuacct")),
    ("memory", ("memory",)),
    ("systemd", ("name=systemd",)),
)
HOSTS = {
    "v2": HostFacts(privileged=True, cgroup_kind="v2"),
    "hybrid": HostFacts(
        privileged=True, cgroup_kind="hybrid", cgroup_hierarchies=HYBRID, has_kcore=False
    ),
    "v1": HostFacts(privileged=True, cgroup_kind="v1", cgroup_hierarchies=HYBRID),
    "unprivileged": HostFacts(privileged=False, cgroup_kind="v2"),
    "nested": HostFacts(privileged=True, cgroup_kind="v2", nested=True),
    "no-groups": HostFacts(privileged=True, cgroup_kind="v2", nested=True, setgroups=False),
}
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SECCOMP = bytes(range(24))
# The host's paths are recognised by their beginning; no container path has it.
HOST = "/@host"


class Case(NamedTuple):
    """Everything that a plan is made from."""

    config: dict[str, Any]
    host: str = "v2"
    seccomp: bytes | None = None
    preserved: int = 0
    no_pivot: bool = False
    joining: bool = False
    criu: bool = False

    @property
    def facts(self) -> HostFacts:
        return HOSTS[self.host]

    def options(self) -> Options:
        """What `create` would add on that host."""
        hierarchies = self.facts.cgroup_hierarchies
        paths = {"": f"{HOST}/cgroup/c1"} if self.facts.cgroup_kind != "v1" else {}
        for name, controllers in hierarchies:
            paths |= {c.removeprefix("name="): f"{HOST}/cgroup/{name}/c1" for c in controllers}
        return Options(
            container_id="c1",
            bundle=f"{HOST}/bundle",
            rootfs=f"{HOST}/bundle/rootfs",
            cgroup_paths=paths,
            cgroup_joins=len(hierarchies),
            no_pivot=self.no_pivot,
            seccomp=self.seccomp,
            seccomp_flags=4 if self.seccomp else 0,
            hook_state=('{"status":"creating","pid":', "}"),
            started_state=('{"status":"created","pid":', "}"),
            console=bool(self.config["process"].get("terminal")),
            environment=tuple(["LISTEN_FDS=1"] * self.preserved),
            for_exec=self.joining,
            explained=True,
        )

    def plan(self) -> Plan:
        """The plan; the document goes the whole way that a file's bytes go."""
        spec = load.parse(json.dumps(self.config).encode())
        if self.criu:
            return criu.compile_criu(
                ("criu", "swrk", "11"),
                "/usr/bin",
                (f"{HOST}/image",),
                criu.Restored(
                    rootfs=f"{HOST}/bundle/rootfs",
                    inherited=1,
                    joins=len(self.facts.cgroup_hierarchies),
                    waits=True,
                    mount_points=(("/proc", True), ("/etc/hosts", False)),
                ),
            )
        if self.joining:
            spec = joining.for_exec(spec)
            return joining.compile_joining(spec, self.facts, self.options())
        return compiler.compile_plan(spec, self.facts, self.options())

    def bytes(self) -> bytes:
        plan = self.plan()
        return encode(
            plan.steps,
            registers=plan.registers,
            first_fd=3 + self.preserved,
            passed_fds=plan.passed,
        )


def config(rootless: bool = False, cgroup_v2: bool = True) -> dict[str, Any]:
    """The default document, without a terminal."""
    made = copy.deepcopy(default_spec(rootless, 1000, 1000, cgroup_v2))
    made["process"]["terminal"] = False
    return made


def with_namespaces(made: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """Set the namespaces: "net" is a new one, "net=PATH" a joined one."""
    entries = [entry.partition("=") for entry in wanted]
    made["linux"]["namespaces"] = [
        {"type": kind, "path": path} if path else {"type": kind} for kind, _, path in entries
    ]
    if "user" in wanted:
        made["linux"] |= {"uidMappings": IDS, "gidMappings": IDS}
    return made


def _hooks() -> dict[str, Any]:
    hook = {"path": f"{HOST}/hook", "args": ["hook", "x"], "env": ["A=1"], "timeout": 5}
    return {
        name: [hook, {"path": f"{HOST}/hook2"}]
        for name in ("prestart", "createRuntime", "createContainer", "startContainer", "poststop")
    }


def _brought() -> Case:
    made = with_namespaces(config(), "mount", "pid", "user")
    made.pop("hostname")
    made["mounts"] += [
        {"destination": f"{HOST}/bundle/rootfs/t", "type": "tmpfs"},
        {"destination": "/b", "source": f"{HOST}/bundle/rootfs/t/x", "options": ["bind"]},
    ]
    return Case(made)


def _privileged_user() -> Case:
    made = with_namespaces(config(), "user", "mount", "pid", "network", "ipc", "uts", "cgroup")
    made["mounts"] += [
        {"destination": "/data", "source": f"{HOST}/data", "options": ["rbind", "ro", "nosuid"]},
        {"destination": "/rel", "source": "below/the/bundle", "options": ["bind", "rshared"]},
    ]
    made["linux"]["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600},
        {"path": "/dev/pipe", "type": "p", "uid": 5, "gid": 6},
    ]
    return Case(made)


def _joined() -> Case:
    made = with_namespaces(
        config(), "mount", "network=/run/ns/net", "pid=/run/ns/pid", "ipc", "uts", "cgroup"
    )
    return Case(made)


def _joined_user_and_mount() -> Case:
    made = with_namespaces(config(), "user=/run/ns/user", "mount=/run/ns/mnt", "pid", "uts")
    made["mounts"].append(
        {"destination": "/data", "source": f"{HOST}/data", "options": ["bind", "rro"]}
    )
    return Case(made)


def _confined() -> Case:
    """A filter without no_new_privs, hooks, a terminal, a user, all of the names."""
    made = config()
    made["process"] |= {
        "noNewPrivileges": False,
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 1000, "gid": 1001, "umask": 0o77, "additionalGids": [10, 20, 30]},
        "cwd": "/home/../srv/./x",
        "env": ["PATH=/a", "A=1", "A=2=3", "HOME=", "PATH=/b"],
    }
    made["process"]["capabilities"]["ambient"] = ["CAP_KILL"]
    made["process"]["capabilities"]["inheritable"] = ["CAP_KILL"]
    made |= {"hooks": _hooks(), "domainname": "example.org"}
    made["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/eth0.1/x": "0"}
    return Case(made, seccomp=SECCOMP, preserved=2)


def _mounts() -> Case:
    made = with_namespaces(config(), "mount", "pid", "cgroup")
    made.pop("hostname")
    made["root"]["readonly"] = False
    made["linux"]["rootfsPropagation"] = "rshared"
    made["mounts"] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/proc/uptime", "source": f"{HOST}/uptime", "options": ["bind"]},
        {"destination": "/dev", "source": f"{HOST}/dev", "options": ["rbind", "rslave"]},
        {"destination": "t", "type": "tmpfs", "options": ["ro", "size=1k,mode=700", "noatime"]},
        {"destination": "/a/../b", "type": "ramfs", "options": ["ro", "sync", "rnosuid", "slave"]},
        {"destination": "/c", "source": f"{HOST}/c", "options": ["bind", "suid", "norelatime"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["nosuid", "ro"]},
    ]
    return Case(made, "hybrid")


def _unusual_mounts() -> Case:
    made = config()
    made["linux"]["rootfsPropagation"] = "runbindable"
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    made["mounts"] += [
        {"destination": "/i", "source": f"{HOST}/i", "options": ["rbind", "ridmap", "ro"],
         "uidMappings": maps, "gidMappings": maps},
        {"destination": "/u", "type": "tmpfs", "options": ["tmpcopyup", "defaults", "nosuid"]},
        {"destination": "/", "options": ["remount", "bind", "nodev", "relatime"]},
        {"destination": "/o", "type": "overlay", "source": "overlay",
         "options": ["ro", "lazytime", "lowerdir=" + ":".join([f"{HOST}/{0:040}"] * 7)]},
        {"destination": "/p", "type": "overlay", "source": "overlay",
         "options": ["lowerdir=/a", f"upperdir={HOST}/{0:0300}", "workdir=/w"]},
    ]  # fmt: skip
    return Case(made)


def _no_mount_namespace() -> Case:
    made = with_namespaces(config(), "pid", "uts", "ipc", "network")
    made["linux"] = {"namespaces": made["linux"]["namespaces"]}
    return Case(made | {"mounts": [], "root": {"path": "rootfs"}})


def _time() -> Case:
    made = with_namespaces(config(), "mount", "time", "pid", "uts", "ipc")
    made["process"].pop("capabilities")
    made["linux"]["sysctl"] = {"kernel.shmmax": "65536", "fs.mqueue.msg_max": "8"}
    made["linux"]["maskedPaths"] = ["/proc/kcore", "/proc//kcore", "/nosuch"]
    return Case(made, seccomp=SECCOMP)


def _scheduled() -> Case:
    made = with_namespaces(config(), "mount", "time", "pid", "user", "uts", "ipc", "network")
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    made["linux"] |= {
        "timeOffsets": {"monotonic": {"secs": 5, "nanosecs": 6}},
        "uidMappings": maps,
        "gidMappings": maps,
        "mountLabel": "system_u:object_r:container_file_t:s0:c1,c2",
        **SCHEDULED_LINUX,
    }
    made["process"] |= SCHEDULED_PROCESS
    return Case(made, seccomp=SECCOMP)


SCHEDULED_PROCESS = {
    "scheduler": {"policy": "SCHED_FIFO", "priority": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    "apparmorProfile": "docker-default",
    "selinuxLabel": "system_u:system_r:container_t:s0:c1,c2",
}
SCHEDULED_LINUX = {
    "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0,2-3", "flags": ["MPOL_F_STATIC_NODES"]},
    "personality": {"domain": "LINUX32"},
}


def _joining(*more: str, host: str = "v2", **process: Any) -> Case:
    """A further process of a container."""
    made = with_namespaces(config(), "pid", "ipc", "uts", "mount", "network=/x", "cgroup", *more)
    made["process"] |= process
    return Case(made, host, SECCOMP, joining=True)


def cases() -> dict[str, Case]:
    """The fixed ones, by name."""
    hybrid = config(cgroup_v2=False)
    return {
        "default-v2": Case(config()),
        "default-hybrid": Case(hybrid, "hybrid"),
        "default-v1": Case(hybrid, "v1"),
        "user-namespace": _privileged_user(),
        "source-of-another-mount": _brought(),
        "joined-net-and-pid": _joined(),
        "joined-user-and-mount": _joined_user_and_mount(),
        "rootless": Case(config(rootless=True), "unprivileged"),
        "nested-user-namespace": Case(_privileged_user().config, "nested"),
        "nested-without-groups": Case(config(), "no-groups"),
        "filter-before-privileges": _confined(),
        "mounts": _mounts(),
        "no-mount-namespace": _no_mount_namespace(),
        "no-pivot": Case(config(), no_pivot=True),
        "unusual-mounts": _unusual_mounts(),
        "time-namespace": _time(),
        "scheduled-and-labelled": _scheduled(),
        "criu": Case(hybrid, "hybrid", criu=True),
        "joining": _joining(execCPUAffinity={"initial": "0-1", "final": "3"}),
        "joining-hybrid": _joining("user", host="hybrid", noNewPrivileges=False),
        "joining-unprivileged": _joining("user", host="unprivileged", terminal=True),
    }


# --- random ones ----------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
words = st.text("abcdefgh-", min_size=1, max_size=8)
paths = st.lists(words, min_size=1, max_size=3).map(lambda parts: "/in/" + "/".join(parts))
numbers = st.integers(0, 2**32 - 2)
flags = st.lists(
    st.sampled_from(
        [
            *("ro", "rw", "nosuid", "nodev", "noexec", "noatime", "relatime", "strictatime"),
            *("rro", "rnosuid", "private", "rshared", "slave", "runbindable", "sync"),
        ]
    ),
    max_size=5,
)
remounts = st.builds(
    lambda where, option: {"destination": where, "options": ["remount", option]},
    paths | st.just("/"),
    st.sampled_from(["ro", "nosuid", "noatime"]),
) | st.builds(
    lambda where: {"destination": where, "type": "tmpfs", "options": ["tmpcopyup"]}, paths
)
binds = st.builds(
    lambda where, what, kind, more: {
        "destination": where,
        "source": f"{HOST}/{what}",
        "options": [kind, *(option for option in more if option != "sync")],
    },
    paths,
    words,
    st.sampled_from(["bind", "rbind"]),
    flags,
)
filesystems = st.builds(
    lambda where, kind, more, data: {
        "destination": where,
        "type": kind,
        "source": kind,
        "options": [*more, *(f"x{word}={word}" for word in data)],
    },
    paths,
    st.sampled_from(["tmpfs", "proc", "sysfs", "mqueue", "cgroup", "overlay"]),
    flags,
    st.lists(words | st.just("l" * 300), max_size=4),
)
capabilities = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("bounding", "effective", "permitted", "inheritable", "ambient"),
        st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=6),
    ),
)
hooks = st.lists(
    st.fixed_dictionaries(
        {"path": words.map(lambda word: f"{HOST}/{word}")},
        optional={
            "args": st.lists(text, max_size=3),
            "env": st.lists(words.map(lambda word: f"{word}=1"), max_size=2),
            "timeout": st.integers(1, 2**40),
        },
    ),
    max_size=2,
)
all_hooks = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("prestart", "createRuntime", "createContainer"), hooks)
)
devices = st.lists(
    st.fixed_dictionaries(
        {
            "path": words.map(lambda word: f"/dev/{word}"),
            "type": st.sampled_from("cubp"),
            "major": st.integers(0, 4095),
            "minor": st.integers(0, 255),
        },
        optional={"fileMode": st.integers(0, 0o7777), "uid": numbers, "gid": numbers},
    ),
    max_size=3,
)
users = st.fixed_dictionaries(
    {"uid": numbers, "gid": numbers},
    optional={
        "umask": st.integers(0, 0o777),
        "additionalGids": st.lists(numbers, max_size=5),
    },
)
processes = st.fixed_dictionaries(
    {"user": users, "args": st.lists(text, min_size=1, max_size=4), "cwd": paths},
    optional={
        "terminal": st.booleans(),
        "env": st.lists(st.builds("{}={}".format, words, text), max_size=4),
        "capabilities": capabilities,
        "noNewPrivileges": st.booleans(),
    },
)


@st.composite
def random_cases(draw: st.DrawFn) -> Case:
    """A valid document with a mount namespace, some host, some caller."""
    kinds = draw(st.sets(st.sampled_from([kind for kind in NAMESPACES if kind != "mount"])))
    joined = draw(st.sets(st.sampled_from(sorted({*kinds, "mount"})), max_size=3))
    order = draw(st.permutations(sorted({*kinds, "mount"})))
    made = with_namespaces(
        {"ociVersion": "1.2.0", "linux": {}},
        *(f"{kind}={HOST}/ns/{kind}" if kind in joined else kind for kind in order),
    )
    made["process"] = draw(processes)
    made["root"] = {"path": "rootfs", "readonly": draw(st.booleans())}
    made["mounts"] = draw(st.lists(binds | filesystems | remounts, max_size=6))
    made["hooks"] = draw(all_hooks) | {"startContainer": draw(hooks)}
    linux = made["linux"]
    linux["maskedPaths"] = draw(st.lists(paths, max_size=3))
    linux["readonlyPaths"] = draw(st.lists(paths, max_size=3))
    linux["devices"] = draw(devices)
    for where, wanted in ((made["process"], SCHEDULED_PROCESS), (linux, SCHEDULED_LINUX)):
        where.update({key: value for key, value in wanted.items() if draw(st.booleans())})
    host = draw(st.sampled_from(sorted(HOSTS)))
    if host in ("unprivileged", "no-groups"):
        made["process"]["user"].pop("additionalGids", None)
    if draw(st.booleans()):
        linux["rootfsPropagation"] = draw(
            st.sampled_from(["shared", "rshared", "slave", "private", "rprivate", "unbindable"])
        )
    if "uts" in kinds:
        made |= {"hostname": draw(words), "domainname": draw(words)}
    if "network" in kinds:
        linux["sysctl"] = {f"net.{draw(words)}": draw(text) for _ in range(draw(st.integers(0, 2)))}
    return Case(
        made,
        host,
        draw(st.none() | st.binary(min_size=1, max_size=40)),
        draw(st.integers(0, 3)),
        draw(st.booleans()),
    )
