# SPDX-License-Identifier: Apache-2.0
"""config.md: root and mounts; config-linux.md: devices, masked and read-only paths, propagation."""

from __future__ import annotations

import os
from typing import Any

from clauses import holds
from harness import Box, equal, true

ROOT = "config.md, Root"
MOUNTS = "config.md, Mounts"
OPTIONS = "config.md, Linux mount options"
DEVICES = "config-linux.md, Devices"
DEFAULT_DEVICES = "config-linux.md, Default Devices"


def flags(text: str) -> set[str]:
    """The mount's own flags: "root flags [fields] - type source superflags"."""
    return set(text.split()[1].split(",")) if text != "none" else {"no mount"}


def superblock(text: str) -> set[str]:
    return set(text.partition(" - ")[2].split()[2].split(",")) if " - " in text else {"no mount"}


@holds("root.path.relative", ROOT, "a relative path is the bundle's")
def case_relative_root(box: Box) -> None:
    equal("the probe", "ok", box.put({"root/path": "rootfs"}).ask("open:r/probe")["open:r/probe"])


@holds("root.path.absolute", ROOT, "an absolute path is taken as it is")
def case_absolute_root(box: Box) -> None:
    box.put({"root/path": str(box.rootfs)})
    equal("the probe", "ok", box.ask("open:r/probe")["open:r/probe"])


@holds("root.is-the-root", ROOT, "the container sees its root, and nothing above it")
def case_root_only(box: Box) -> None:
    seen = box.ask("list:/", "list:/..")
    equal("/", "dev probe proc sys tmp", seen["list:/"])
    equal("/..", "dev probe proc sys tmp", seen["list:/.."])


@holds("root.readonly", ROOT, "readonly: nothing can be written; else it can",
       [("true", True), ("false", False)])  # fmt: skip
def case_readonly(box: Box, it: bool) -> None:
    seen = box.put({"root/readonly": it}).ask("open:c/new", "mkdir:/dir")
    equal("a new file and directory", {"EROFS"} if it else {"ok"}, set(seen.values()))


@holds("mounts.order", MOUNTS, "mounts are made in their order")
def case_order(box: Box) -> None:
    for name in ("one", "two"):
        (box.bundle / name).mkdir()
        (box.bundle / name / name).touch()
        box.mount("/data", "bind", str(box.bundle / name), "bind")
    equal("the last one is seen", "two", box.ask("list:/data")["list:/data"])


@holds("mounts.order.nested", MOUNTS, "a mount below an earlier one is in it")
def case_nested(box: Box) -> None:
    box.mount("/a", "tmpfs", "tmpfs").mount("/a/b", "tmpfs", "tmpfs", "size=1m")
    seen = box.ask("mount:/a", "mount:/a/b")
    true(all(text != "none" for text in seen.values()), "both mounts", seen)


@holds("mounts.destination", MOUNTS, "the destination is made if it is not there",
       ["/new", "/new/deep/er", "/tmp/x"])  # fmt: skip
def case_destination(box: Box, it: str) -> None:
    key = f"mount:{it}"
    true("tmpfs" in box.mount(it, "tmpfs", "tmpfs").ask(key)[key], "a tmpfs", "none")


@holds("mounts.destination.relative", MOUNTS,
       "a relative destination (deprecated) is below /")  # fmt: skip
def case_relative_destination(box: Box) -> None:
    true("tmpfs" in box.mount("rel", "tmpfs", "tmpfs").ask("mount:/rel")["mount:/rel"],
         "a tmpfs at /rel", "none")  # fmt: skip


@holds("mounts.destination.inside", MOUNTS, "a link in the image leads nowhere outside the root")
def case_destination_inside(box: Box) -> None:
    outside = box.directory / "outside"
    outside.mkdir()
    (box.rootfs / "link").symlink_to(outside)
    box.mount("/link/below", "tmpfs", "tmpfs")
    if box.try_create() == 0:
        box.start().wait()
    equal("what was made outside", [], os.listdir(outside))


@holds("mounts.source.bind", MOUNTS, "a bind mount's source may be a file or a directory",
       ["file", "directory"])  # fmt: skip
def case_bind(box: Box, it: str) -> None:
    source = box.bundle / "source"
    source.mkdir() if it == "directory" else source.write_text("content")
    box.mount("/target", "bind", str(source), "bind")
    seen = box.ask("stat:/target")["stat:/target"].split()[0]
    equal("kind", "dir" if it == "directory" else "file", seen)


@holds("mounts.source.relative", MOUNTS, "a bind mount's relative source is the bundle's")
def case_relative_source(box: Box) -> None:
    (box.bundle / "source").write_text("content")
    box.mount("/target", "bind", "source", "bind")
    equal("content", "content", box.ask("file:/target")["file:/target"])


@holds("mounts.type.bind", MOUNTS, "the option bind decides, and the type is ignored",
       ["none", "bind", "tmpfs", "absurd"])  # fmt: skip
def case_bind_type(box: Box, it: str) -> None:
    (box.bundle / "source").write_text("content")
    box.mount("/target", it, str(box.bundle / "source"), "bind")
    equal("content", "content", box.ask("file:/target")["file:/target"])


@holds("mounts.type", MOUNTS, "filesystems of /proc/filesystems can be mounted",
       ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "ramfs"])  # fmt: skip
def case_type(box: Box, it: str) -> None:
    destination = "/proc" if it == "proc" else "/sys" if it == "sysfs" else "/dev/x"
    key = f"mount:{destination}"
    seen = box.mount(destination, it, it).ask(key)[key]
    equal("type", it, seen.partition(" - ")[2].split(" ")[0])


ONE_FLAG: list[tuple[str, str, bool]] = [
    ("ro", "ro", True), ("nosuid", "nosuid", True), ("nodev", "nodev", True),
    ("noexec", "noexec", True), ("noatime", "noatime", True), ("nodiratime", "nodiratime", True),
    ("relatime", "relatime", True), ("strictatime", "relatime", False), ("rw", "ro", False),
    ("suid", "nosuid", False), ("dev", "nodev", False), ("exec", "noexec", False),
    ("atime", "noatime", False), ("diratime", "nodiratime", False),
    ("nosymfollow", "nosymfollow", True), ("symfollow", "nosymfollow", False),
]  # fmt: skip
FLAGS = [(option, (option, flag, there)) for option, flag, there in ONE_FLAG]


@holds("mounts.options", OPTIONS, "an option sets or clears its flag of a new mount", FLAGS)
def case_option(box: Box, it: tuple[str, str, bool]) -> None:
    option, flag, there = it
    seen = flags(box.mount("/data", "tmpfs", "tmpfs", option).ask("mount:/data")["mount:/data"])
    true((flag in seen) == there, f"{flag} is {'' if there else 'not '}there", sorted(seen))


@holds("mounts.options.bind", OPTIONS, "an option sets or clears its flag of a bind mount", FLAGS)
def case_option_of_a_bind(box: Box, it: tuple[str, str, bool]) -> None:
    option, flag, there = it
    (box.bundle / "source").mkdir()
    box.mount("/data", "bind", str(box.bundle / "source"), "bind", option)
    seen = flags(box.ask("mount:/data")["mount:/data"])
    true((flag in seen) == there, f"{flag} is {'' if there else 'not '}there", sorted(seen))


@holds("mounts.options.superblock", OPTIONS, "an option of the filesystem itself",
       ["sync", "dirsync", "lazytime"])  # fmt: skip
def case_option_of_the_superblock(box: Box, it: str) -> None:
    seen = superblock(box.mount("/data", "tmpfs", "tmpfs", it).ask("mount:/data")["mount:/data"])
    true(it in seen, f"{it} is there", sorted(seen))


@holds("mounts.options.neutral", OPTIONS, "an option that shows no effect is taken",
       ["defaults", "async", "loud", "silent", "nolazytime", "norelatime", "nostrictatime",
        "iversion", "noiversion", "nomand"])  # fmt: skip
def case_neutral_option(box: Box, it: str) -> None:
    true(box.mount("/data", "tmpfs", "tmpfs", it).ask("mount:/data")["mount:/data"] != "none",
         "a mount", "none")  # fmt: skip


@holds("mounts.options.data", OPTIONS, "what no table has is the filesystem's",
       [("size", ("size=4096k", "size=4096k")), ("mode", ("mode=700", "mode=700"))])  # fmt: skip
def case_data(box: Box, it: tuple[str, str]) -> None:
    seen = superblock(box.mount("/data", "tmpfs", "tmpfs", it[0]).ask("mount:/data")["mount:/data"])
    true(it[1] in seen, it[1], sorted(seen))


@holds("mounts.options.wrong-data", OPTIONS, "what the filesystem refuses is an error")
def case_wrong_data(box: Box) -> None:
    box.mount("/data", "tmpfs", "tmpfs", "no-such-option=1").refused()


@holds("mounts.options.ro-means-it", OPTIONS, "nothing can be written where a mount is ro",
       ["tmpfs", "bind"])  # fmt: skip
def case_ro(box: Box, it: str) -> None:
    (box.bundle / "source").mkdir()
    options = ["bind", "ro"] if it == "bind" else ["ro"]
    box.mount("/data", it, str(box.bundle / "source"), *options)
    equal("a new file", "EROFS", box.ask("open:c/data/new")["open:c/data/new"])


@holds("mounts.options.noexec-means-it", OPTIONS, "nothing can be executed where a mount is noexec")
def case_noexec(box: Box) -> None:
    (box.bundle / "source").mkdir()
    os.link(box.probe, box.bundle / "source" / "probe")
    box.mount("/data", "bind", str(box.bundle / "source"), "bind", "noexec")
    equal("exec", "EACCES", box.ask("exec:/data/probe")["exec:/data/probe"])


@holds("mounts.options.rbind", OPTIONS, "rbind takes what is mounted below, bind does not",
       ["rbind", "bind"])  # fmt: skip
def case_rbind(box: Box, it: str) -> None:
    box.mount("/one/two", "tmpfs", "tmpfs")
    # The container's own /proc has nothing below it: the host's /dev has.
    box.mount("/host", "none", "/dev", it)
    below = box.ask("mount:/host/pts")["mount:/host/pts"]
    equal("/dev/pts below it", it == "rbind", below != "none")


@holds("mounts.options.recursive", OPTIONS, "a recursive option counts for all that is below",
       [("rro", "ro"), ("rnosuid", "nosuid"), ("rnoexec", "noexec"), ("rnodev", "nodev"),
        ("rnoatime", "noatime"), ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow")])  # fmt: skip
def case_recursive(box: Box, it: str) -> None:
    seen = box.mount("/host", "none", "/dev", "rbind", f"r{it}").ask("mount:/host/pts")
    true(it in flags(seen["mount:/host/pts"]), f"{it} at /host/pts", seen["mount:/host/pts"])


PROPAGATION = {
    "private": "", "rprivate": "", "shared": "shared:", "rshared": "shared:",
    "unbindable": "unbindable", "runbindable": "unbindable",
}  # fmt: skip


@holds(
    "mounts.options.propagation", OPTIONS, "a propagation option is the mount's", list(PROPAGATION)
)
def case_propagation(box: Box, it: str) -> None:
    seen = box.mount("/data", "tmpfs", "tmpfs", it).ask("mount:/data")["mount:/data"]
    fields = seen.partition(" - ")[0].split()[2:]
    wanted = PROPAGATION[it]
    true(any(one.startswith(wanted) for one in fields) if wanted else not fields,
         wanted or "no optional field", seen)  # fmt: skip


@holds("mounts.options.tmpcopyup", OPTIONS, "tmpcopyup: what is covered is copied into the tmpfs")
def case_tmpcopyup(box: Box) -> None:
    (box.rootfs / "data").mkdir()
    (box.rootfs / "data" / "file").write_text("content")
    seen = box.mount("/data", "tmpfs", "tmpfs", "tmpcopyup").ask("file:/data/file", "mount:/data")
    equal("the file", "content", seen["file:/data/file"])
    true("tmpfs" in seen["mount:/data"], "a tmpfs", seen["mount:/data"])


@holds("rootfsPropagation", "config-linux.md, Rootfs Mount Propagation", "is the root's",
       [("shared", "shared:"), ("private", ""), ("unbindable", "unbindable")])  # fmt: skip
def case_rootfs_propagation(box: Box, it: str) -> None:
    kind = {"shared:": "shared", "unbindable": "unbindable"}.get(it, "private")
    seen = box.put({"linux/rootfsPropagation": kind}).ask("mount:/")["mount:/"]
    fields = seen.partition(" - ")[0].split()[2:]
    true(any(one.startswith(it) for one in fields) if it else not fields, it or "no field", seen)


DEFAULTS = {
    "null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0",
}  # fmt: skip


@holds("devices.default", DEFAULT_DEVICES, "the default devices are always there", list(DEFAULTS))
def case_default_device(box: Box, it: str) -> None:
    seen = box.ask(f"stat:/dev/{it}")[f"stat:/dev/{it}"]
    equal("device", f"char 0666 0:0 {DEFAULTS[it]}", seen)


@holds("devices.default.usable", DEFAULT_DEVICES, "the default devices can be opened",
       ["null", "zero", "full", "random", "urandom"])  # fmt: skip
def case_default_device_opens(box: Box, it: str) -> None:
    seen = box.ask(f"open:w/dev/{it}")[f"open:w/dev/{it}"]
    equal("open", "ok", seen)


@holds(
    "devices.default.ptmx", DEFAULT_DEVICES, "/dev/ptmx is a link or bind mount of /dev/pts/ptmx"
)
def case_ptmx(box: Box) -> None:
    box.mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666")
    seen = box.ask("link:/dev/ptmx", "stat:/dev/ptmx")
    true(seen["link:/dev/ptmx"] in ("pts/ptmx", "/dev/pts/ptmx") or "5:2" in seen["stat:/dev/ptmx"],
         "pts/ptmx", seen)  # fmt: skip


@holds("devices.links", "runtime-linux.md, Dev symbolic links", "links to what /proc has",
       [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")])  # fmt: skip
def case_link(box: Box, it: str) -> None:
    name = {"": "fd", "/0": "stdin", "/1": "stdout", "/2": "stderr"}[it]
    key = f"link:/dev/{name}"
    equal(f"/dev/{name}", f"/proc/self/fd{it}", box.ask(key)[key])


NODES: list[tuple[str, dict[str, Any]]] = [
    ("char", {"path": "/dev/made", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640,
              "uid": 5, "gid": 6}),
    ("unbuffered", {"path": "/dev/made", "type": "u", "major": 10, "minor": 229}),
    ("block", {"path": "/dev/made", "type": "b", "major": 7, "minor": 3, "fileMode": 0o600}),
    ("fifo", {"path": "/dev/made", "type": "p", "fileMode": 0o622, "uid": 1, "gid": 2}),
    ("elsewhere", {"path": "/some/where/made", "type": "c", "major": 1, "minor": 3}),
]  # fmt: skip


@holds("devices", DEVICES, "type, numbers, mode and owner are as listed", NODES)
def case_device(box: Box, it: dict[str, Any]) -> None:
    seen = box.put({"linux/devices": [it]}).ask(f"stat:{it['path']}")[f"stat:{it['path']}"].split()
    equal("type", {"b": "block", "p": "fifo"}.get(it["type"], "char"), seen[0])
    if "fileMode" in it:
        equal("mode", f"{it['fileMode']:04o}", seen[1])
    equal("owner", f"{it.get('uid', 0)}:{it.get('gid', 0)}", seen[2])
    if it["type"] != "p":
        equal("numbers", f"{it['major']}:{it['minor']}", seen[3])


@holds("maskedPaths", "config-linux.md, Masked Paths", "a masked path cannot be read",
       [("file", "/secret"), ("directory", "/secrets"), ("proc", "/proc/meminfo")])  # fmt: skip
def case_masked(box: Box, it: str) -> None:
    (box.rootfs / "secret").write_text("secret")
    (box.rootfs / "secrets").mkdir()
    (box.rootfs / "secrets" / "secret").write_text("secret")
    key = f"list:{it}" if it == "/secrets" else f"file:{it}"
    equal("what is read", "", box.put({"linux/maskedPaths": [it]}).ask(key)[key])


@holds(
    "maskedPaths.missing", "config-linux.md, Masked Paths", "a path that is not there is no error"
)
def case_masked_missing(box: Box) -> None:
    box.put({"linux/maskedPaths": ["/no/such/path"]}).ask("pid")


@holds("readonlyPaths", "config-linux.md, Readonly Paths", "a read-only path cannot be written",
       [("directory", "/data/new"), ("file", "/file"), ("below", "/data/deep/new")])  # fmt: skip
def case_readonly_path(box: Box, it: str) -> None:
    (box.rootfs / "data" / "deep").mkdir(parents=True)
    (box.rootfs / "file").touch()
    seen = box.put({"linux/readonlyPaths": ["/data", "/file"]}).ask(f"open:c{it}")[f"open:c{it}"]
    equal("open to write", "EROFS", seen)


@holds("readonlyPaths.proc", "config-linux.md, Readonly Paths", "also of /proc")
def case_readonly_proc(box: Box) -> None:
    key = "open:w/proc/sys/kernel/domainname"
    equal("open", "EROFS", box.put({"linux/readonlyPaths": ["/proc/sys"]}).ask(key)[key])


@holds("readonlyPaths.missing", "config-linux.md, Readonly Paths",
       "a path that is not there is no error")  # fmt: skip
def case_readonly_missing(box: Box) -> None:
    box.put({"linux/readonlyPaths": ["/no/such/path"]}).ask("pid")
