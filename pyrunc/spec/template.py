# SPDX-License-Identifier: Apache-2.0
"""The document that the `spec` command writes.

Member by member what `runc spec` writes (tests compare them), in runc's order. Two members are
newer than the runc they are compared with: the version, and no ambient capabilities (runc
dropped them in 1.2: without inheritable ones the kernel refuses them). This module must not
write files.
"""

from __future__ import annotations

from typing import Any

OCI_VERSION = "1.3.0"
_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# destination, type, source, options
_MOUNTS = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5",
    ),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),  # noqa: S108
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
)
_MASKED = (
    "/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list "
    "/proc/timer_stats /proc/sched_debug /sys/firmware /proc/scsi"
)
_READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"


def default_spec(rootless: bool, euid: int, egid: int, cgroup_v2: bool) -> dict[str, Any]:
    """The default document.

    Args:
        rootless: make it one that an unprivileged user can run.
        euid: that user's id, mapped to root in the container.
        egid: that user's group.
        cgroup_v2: the host has only cgroup v2: the container gets a cgroup namespace.

    Returns:
        The document, ready for jsontext.dumps_indented.
    """
    spec = {
        "ociVersion": OCI_VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "runc",
        "mounts": [_mount(*row) for row in _MOUNTS],
        "linux": _linux(cgroup_v2),
    }
    if rootless:
        _make_rootless(spec, euid, egid)
    return spec


def _process() -> dict[str, Any]:
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [f"PATH={_PATH}", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {
            name: list(_CAPABILITIES) for name in ("bounding", "effective", "permitted")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = options.split()
    return mount


def _linux(cgroup_v2: bool) -> dict[str, Any]:
    types = ["pid", "network", "ipc", "uts", "mount"]
    if cgroup_v2:
        types.append("cgroup")
    return {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": name} for name in types],
        "maskedPaths": _MASKED.split(),
        "readonlyPaths": _READONLY.split(),
    }


def _make_rootless(spec: dict[str, Any], euid: int, egid: int) -> None:
    linux = spec["linux"]
    namespaces = [entry for entry in linux["namespaces"] if entry["type"] != "network"]
    del linux["resources"]
    spec["linux"] = {
        "uidMappings": [{"containerID": 0, "hostID": euid, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": egid, "size": 1}],
        **linux,
        "namespaces": [*namespaces, {"type": "user"}],
    }
    for mount in spec["mounts"]:
        if mount["destination"] == "/sys":
            # A new sysfs needs a network namespace of one's own, which a rootless one lacks.
            mount.update(
                type="none", source="/sys", options=["rbind", "nosuid", "noexec", "nodev", "ro"]
            )
        elif "options" in mount:
            # Only one id is mapped.
            mount["options"] = [
                option for option in mount["options"] if option[:4] not in ("uid=", "gid=")
            ]
