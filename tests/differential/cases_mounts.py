# SPDX-License-Identifier: Apache-2.0
"""Cases about mounts and propagation."""

from __future__ import annotations

import os

from tests.differential.case import Case, listed_in
from tests.differential.differ import Box
from tests.lib import support

CASES: dict[str, Case] = {}
case = listed_in(CASES)

SHARED = ("unshare", "--mount", "--propagation", "shared", "--")


@case()
def bind_modes(box: Box) -> None:
    box.file("source/file")
    source = str(box.path / "source")
    box.mount("/mnt/rw", "bind", source, "bind", "rw")
    box.mount("/mnt/ro", "bind", source, "bind", "ro")
    box.mount("/mnt/rbind", "bind", source, "rbind", "nosuid", "nodev", "noexec")
    box.mount("/mnt/none", "none", source, "rbind", "ro", "noatime")
    box.mount("/mnt/typeless", "", source, "bind", "nodiratime", "relatime")
    box.probe("write=/mnt/rw/file", "write=/mnt/ro/file", "write=/mnt/rbind/file",
              "write=/mnt/none/file", "write=/mnt/typeless/file")  # fmt: skip


@case()
def bind_of_a_file(box: Box) -> None:
    box.file("source", mode=0o600)
    box.file("rootfs/there")
    box.mount("/there", "bind", str(box.path / "source"), "bind", "ro")
    box.mount("/etc/deep/missing", "bind", str(box.path / "source"), "bind")
    box.probe("write=/there", "write=/etc/deep/missing")


@case()
def bind_of_a_relative_source(box: Box) -> None:
    box.file("source/file")
    box.mount("/mnt", "bind", "source", "bind")
    box.probe("write=/mnt/file")


@case()
def bind_through_a_link(box: Box) -> None:
    box.file("source/file")
    (box.rootfs / "real").mkdir()
    (box.rootfs / "link").symlink_to("/real")
    (box.rootfs / "up").symlink_to("../../../../real")
    (box.rootfs / "dangling").symlink_to("/not/there")
    for name in ("/link", "/link/deeper", "/up/there", "/dangling", "/dangling/inner"):
        box.mount(name, "bind", str(box.path / "source"), "bind")
    box.probe("write=/real/file", "path=/not/there", "path=/real/deeper")


@case()
def bind_of_a_socket_and_a_device(box: Box) -> None:
    import socket

    here = os.open(box.path, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)
    box.mount("/run/socket", "bind", str(box.path / "socket"), "bind")
    box.mount("/dev/other", "bind", "/dev/full", "bind")


@case()
def bind_over_the_same_place(box: Box) -> None:
    for name in ("one", "two"):
        box.file(f"{name}/{name}")
        box.mount("/mnt", "bind", str(box.path / name), "bind", "ro")
    box.mount("/mnt/", "tmpfs", "tmpfs")
    box.probe("path=/mnt", "list=/mnt")


@case()
def bind_of_a_readonly_source(box: Box) -> None:
    """A mount option of the source stays, if nothing else is asked for."""
    box.mount("/mnt/cgroup", "bind", f"/sys/fs/cgroup{'' if support.V2 else '/pids'}", "bind")
    box.mount("/mnt/proc", "bind", "/proc/sys", "rbind", "nosuid")


@case(prefix=SHARED)
def bind_with_submounts(box: Box) -> None:
    tree, below = ("/dev", "shm") if support.V2 else ("/sys/fs/cgroup", "pids")
    box.mount("/mnt/plain", "bind", tree, "bind", "ro")
    box.mount("/mnt/recursive", "bind", tree, "rbind", "ro")
    box.mount("/mnt/all", "bind", tree, "rbind", "rro")
    box.probe(f"path=/mnt/plain/{below}", "path=/mnt/recursive")


@case()
def tmpfs_options(box: Box) -> None:
    box.mount("/tmp/sized", "tmpfs", "tmpfs", "size=1m", "mode=1777", "nosuid", "noexec")
    box.mount("/tmp/plain", "tmpfs", "tmpfs")
    box.mount("/tmp/ro", "tmpfs", "other", "ro", "mode=0700", "uid=5", "gid=6")
    box.mount("/tmp/k", "tmpfs", "tmpfs", "size=64k", "nr_inodes=100", "strictatime", "lazytime")
    box.probe("list=/tmp", "path=/tmp/ro", "path=/tmp/sized")


@case()
def tmpfs_over_a_directory(box: Box) -> None:
    for name, mode in (("sticky", 0o1777), ("private", 0o700)):
        path = box.rootfs / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, 5, 6)
        box.mount(f"/{name}", "tmpfs", "tmpfs", "size=1m")
    (box.rootfs / "moded").mkdir(mode=0o700)
    box.mount("/moded", "tmpfs", "tmpfs", "mode=755")
    box.probe("list=/sticky", "list=/private", "list=/moded")


@case()
def tmpfs_copied_up(box: Box) -> None:
    box.file("rootfs/data/inner/file", mode=0o640)
    os.chown(box.rootfs / "data/inner/file", 5, 6)
    (box.rootfs / "data/link").symlink_to("inner/file")
    box.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    box.probe("list=/data", "write=/data/inner/file")


def _propagating(box: Box, *options: str) -> None:
    box.file("source/file")
    for option in options:
        box.mount(f"/mnt/{option}", "bind", str(box.path / "source"), "rbind", option)
    box.mount("/mnt/tmpfs", "tmpfs", "tmpfs", options[0])


@case()
def propagation_options(box: Box) -> None:
    _propagating(box, "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable")


@case(prefix=SHARED)
def propagation_options_on_a_shared_host(box: Box) -> None:
    _propagating(box, "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable")


@case(prefix=SHARED)
def propagation_by_default_on_a_shared_host(box: Box) -> None:
    _propagating(box, "nosuid")


@case(prefix=SHARED)
def root_propagation_private(box: Box) -> None:
    box.linux["rootfsPropagation"] = "private"


@case(prefix=SHARED)
def root_propagation_rprivate(box: Box) -> None:
    box.linux["rootfsPropagation"] = "rprivate"
    _propagating(box, "rshared", "rslave")


@case(prefix=SHARED)
def root_propagation_slave(box: Box) -> None:
    box.linux["rootfsPropagation"] = "slave"


@case(prefix=SHARED)
def root_propagation_rslave(box: Box) -> None:
    box.linux["rootfsPropagation"] = "rslave"
    _propagating(box, "rslave")


@case(prefix=SHARED)
def root_propagation_shared(box: Box) -> None:
    box.linux["rootfsPropagation"] = "shared"


@case(prefix=SHARED)
def root_propagation_rshared(box: Box) -> None:
    box.linux["rootfsPropagation"] = "rshared"
    _propagating(box, "rslave")


@case()
def root_propagation_unbindable(box: Box) -> None:
    box.linux["rootfsPropagation"] = "unbindable"


@case()
def root_propagation_runbindable(box: Box) -> None:
    box.linux["rootfsPropagation"] = "runbindable"
    box.probe("path=/proc/sys", "path=/proc/keys", "path=/sys/firmware")


@case()
def order_of_nested_mounts(box: Box) -> None:
    box.file("source/inner/file")
    box.mount("/a", "tmpfs", "tmpfs")
    box.mount("/a/b", "bind", str(box.path / "source"), "bind")
    box.mount("/a/b/inner", "tmpfs", "tmpfs", "ro")
    box.probe("list=/a")


@case()
def mount_options_of_proc_and_sys(box: Box) -> None:
    for mount in box.config["mounts"]:
        if mount["destination"] == "/proc":
            mount["options"] = ["nosuid", "hidepid=2", "ro"]
        if mount["destination"] == "/sys":
            mount["options"] = []
    box.linux["readonlyPaths"] = ["/proc/sys"]


@case(status=1)
def mount_covered_by_a_later_one(box: Box) -> None:
    box.mount("/a/b", "tmpfs", "tmpfs", "ro")
    box.mount("/a", "tmpfs", "tmpfs", "ro")
    box.probe("list=/a")


@case()
def cgroup_covered_by_sysfs(box: Box) -> None:
    box.unmount("/sys")
    box.mount("/sys", "sysfs", "sysfs", "ro")


@case()
def no_dev_mount(box: Box) -> None:
    _no_dev(box)
    box.config["root"]["readonly"] = False


@case()
def readonly_dev(box: Box) -> None:
    for mount in box.config["mounts"]:
        if mount["destination"] == "/dev":
            mount["options"].append("ro")
    box.probe("path=/dev")


def _no_dev(box: Box) -> None:
    for name in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"):
        box.unmount(name)


@case()
def dev_of_the_host(box: Box) -> None:
    _no_dev(box)
    box.mount("/dev", "bind", "/dev", "rbind", "ro")


@case()
def own_dev_without_null(box: Box) -> None:
    _no_dev(box)
    del box.linux["maskedPaths"]
    box.directory("own-dev")
    box.mount("/dev", "bind", str(box.path / "own-dev"), "bind", "rw")


@case()
def cgroup_mount_rw(box: Box) -> None:
    box.unmount("/sys/fs/cgroup")
    box.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime")
    box.probe("list=/sys/fs/cgroup/cpu,cpuacct", "path=/sys/fs/cgroup")


@case()
def mqueue_and_named_proc_options(box: Box) -> None:
    box.mount("/mnt/mq", "mqueue", "mqueue", "noexec")
    box.mount("/mnt/pts", "devpts", "devpts", "newinstance", "mode=0600", "ptmxmode=0666")
    box.probe("list=/mnt")


@case()
def odd_destinations(box: Box) -> None:
    box.file("source/file")
    source = str(box.path / "source")
    for name in ("/mnt/../up", "//double//slash/", "/dot/./inside", "/../../top"):
        box.mount(name, "bind", source, "bind")
    box.probe("list=/up", "list=/double", "list=/top")


@case()
def relative_destination(box: Box) -> None:
    box.mount("mnt/relative", "tmpfs", "tmpfs", "size=1m")
    box.probe("list=/mnt")


@case()
def the_last_option_wins(box: Box) -> None:
    box.file("source/file")
    source = str(box.path / "source")
    box.mount("/mnt/a", "bind", source, "bind", "ro", "rw")
    box.mount("/mnt/b", "bind", source, "bind", "rw", "ro", "nosuid", "suid", "nodev", "dev")
    box.mount("/mnt/c", "bind", source, "bind", "noexec", "exec", "noatime", "atime")
    box.mount("/mnt/d", "tmpfs", "tmpfs", "ro", "rw", "noatime", "strictatime")


@case(status=1)
def bind_by_type_alone(box: Box) -> None:
    box.file("source/file")
    box.mount("/mnt", "bind", str(box.path / "source"))


@case(status=1)
def option_that_the_file_system_refuses(box: Box) -> None:
    box.mount("/mnt", "tmpfs", "tmpfs", "nosuchoption=1")


@case(status=1)
def type_that_does_not_exist(box: Box) -> None:
    box.mount("/mnt", "nosuchfs", "none")


@case(status=1)
def destination_under_a_file(box: Box) -> None:
    box.file("rootfs/file")
    box.mount("/file/inner", "tmpfs", "tmpfs")


@case(status=1)
def directory_over_a_file(box: Box) -> None:
    box.file("rootfs/file")
    box.mount("/file", "bind", "/proc", "bind")


@case()
def whole_host(box: Box) -> None:
    box.mount("/host", "bind", "/", "rbind", "ro", "rslave")
    box.probe("path=/host/bin/probe", "path=/host/sys/kernel", "path=/host/proc/1/status",
              f"path=/host{box.path}", "path=/host/lib")  # fmt: skip


@case()
def root_path_absolute_through_a_link(box: Box) -> None:
    (box.path / "link").symlink_to("rootfs")
    box.config["root"]["path"] = str(box.path / "link")


@case()
def passwd_outside_the_root(box: Box) -> None:
    (box.rootfs / "etc").mkdir()
    (box.rootfs / "etc/passwd").symlink_to("../../../../../../etc/passwd")
