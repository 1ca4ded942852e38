# SPDX-License-Identifier: Apache-2.0
"""Mounts beyond those that the differential tests compare with runc 1.1."""

from __future__ import annotations

import os

import pytest

from tests.lib.support import refused, said


def mount(bundle, **fields) -> dict:
    fields.setdefault("destination", "/m")
    bundle.config["mounts"].append(fields)
    return fields


def ids(container: int, host: int, size: int = 65536) -> list[dict[str, int]]:
    return [{"containerID": container, "hostID": host, "size": size}]


@pytest.fixture
def source(tmp_path):
    """A directory whose file belongs to 1000, with a mount point in it."""
    path = tmp_path / "source"
    (path / "below").mkdir(parents=True)
    (path / "file").write_text("x")
    os.chown(path / "file", 1000, 1001)
    return path


OWNERS = "stat -c %u:%g /m/file"


@pytest.mark.parametrize("options", [["bind"], ["bind", "idmap"], ["rbind", "ridmap"]])
def test_a_mount_with_maps_of_its_own(runtime, bundle, source, options):
    mount(bundle, source=str(source), options=options, uidMappings=ids(0, 5000),
          gidMappings=ids(0, 7000))  # fmt: skip
    assert said(runtime, bundle, OWNERS) == "6000:8001\n"


def test_what_a_mapped_mount_writes_belongs_to_the_other_side(runtime, bundle, source):
    os.chown(source, 1000, 1001)
    mount(bundle, source=str(source), options=["bind"], uidMappings=ids(1000, 0, 1),
          gidMappings=ids(1001, 0, 1))  # fmt: skip
    said(runtime, bundle, OWNERS + "; touch /m/new")
    made = os.stat(source / "new")
    assert (made.st_uid, made.st_gid) == (1000, 1001)


@pytest.mark.parametrize("maps", [False, True])
def test_in_a_user_namespace(runtime, bundle, source, maps):
    """With the container's own maps owners look as on the host."""
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = ids(0, 100000)
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.lchown(path, 100000, 100000)
    more = {"uidMappings": ids(0, 100000), "gidMappings": ids(0, 100000)} if maps else {}
    mount(bundle, source=str(source), options=["bind", "idmap"], **more)
    assert said(runtime, bundle, OWNERS) == "1000:1001\n"


def test_in_a_joined_user_namespace(runtime, bundle, source):
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = ids(0, 100000)
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.lchown(path, 100000, 100000)
    bundle.args("/bin/sleep", "1000")
    first = runtime.create(bundle)
    path = f"/proc/{runtime.state(first)['pid']}/ns/user"
    linux["namespaces"][-1]["path"] = path
    linux["uidMappings"] = linux["gidMappings"] = []
    mount(bundle, source=str(source), options=["bind", "idmap"])
    assert said(runtime, bundle, OWNERS) == "1000:1001\n"


@pytest.mark.parametrize(("option", "below"), [("idmap", "0:0"), ("ridmap", "50:60")])
def test_how_deep_a_map_goes(runtime, bundle, source, option, below):
    runtime.prefix = (
        "unshare", "-m", "sh", "-c", f'mount -t tmpfs none {source}/below; exec "$@"', "sh",
    )  # fmt: skip
    mount(bundle, source=str(source), options=["rbind", option], uidMappings=ids(0, 50),
          gidMappings=ids(0, 60))  # fmt: skip
    assert said(runtime, bundle, "stat -c %u:%g /m/below") == below + "\n"


def test_maps_from_nowhere(runtime, bundle, source):
    mount(bundle, source=str(source), options=["bind", "idmap"])
    assert "needs mappings" in refused(runtime, bundle)


def test_a_filesystem_of_its_own_is_not_mapped(runtime, bundle):
    mount(bundle, type="tmpfs", options=["idmap"], uidMappings=ids(0, 5), gidMappings=ids(0, 5))
    assert "only bind mounts" in refused(runtime, bundle)


def test_a_filesystem_that_knows_no_maps(runtime, bundle):
    mount(bundle, source="/proc", options=["bind"], uidMappings=ids(0, 5), gidMappings=ids(0, 5))
    text = refused(runtime, bundle)
    assert "does not support id-mapped mounts" in text
    assert "/mounts/" in text


def test_copied_up(runtime, bundle):
    """As runc does it, down to owners, modes and links; and what is not a file or directory."""
    data = bundle.rootfs / "data"
    (data / "inner" / "deep").mkdir(parents=True)
    (data / "inner" / "file").write_text("x" * 200_000)
    os.chown(data / "inner" / "file", 5, 6)
    (data / "inner" / "file").chmod(0o4755)
    os.utime(data / "inner" / "file", (1, 2))
    (data / "link").symlink_to("/etc/passwd")
    os.mkfifo(data / "fifo", 0o640)
    os.mknod(data / "null", 0o20666, os.makedev(1, 3))
    os.chown(data, 7, 8)
    data.chmod(0o1755)
    mount(bundle, destination="/data", type="tmpfs", source="tmpfs", options=["tmpcopyup", "ro"])
    command = (
        "cd /data; stat -c '%n %A %u:%g %Y' inner/file fifo null .; readlink link; wc -c inner/*"
    )
    text = said(runtime, bundle, command + "; ls -d inner/deep; touch new 2>&1 || true")
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["inner/file", "-rwsr-xr-x", "5:6", "2"]
    assert lines[1][:2] == ["fifo", "prw-r-----"]
    assert lines[2][:2] == ["null", "crw-r--r--"]
    assert lines[3][:3] == [".", "drwxr-xr-t", "7:8"]
    assert lines[4] == ["/etc/passwd"]
    assert "200000 inner/file" in text
    assert "inner/deep" in text
    assert "Read-only file system" in text


def test_copied_up_from_nothing(runtime, bundle):
    mount(bundle, destination="/new/place", type="tmpfs", options=["tmpcopyup", "mode=700"])
    assert said(runtime, bundle, "stat -c %a /new/place") == "700\n"


def test_only_a_tmpfs_is_copied_up_into(runtime, bundle):
    mount(bundle, type="mqueue", options=["tmpcopyup"])
    assert "tmpcopyup is an option of tmpfs" in refused(runtime, bundle)


def test_the_root_remounted(runtime, bundle):
    bundle.config["root"]["readonly"] = False
    mount(bundle, destination="/", options=["remount", "ro", "nosuid"])
    text = said(runtime, bundle, "grep ' / ' /proc/self/mountinfo; touch /x 2>&1 || true")
    assert {"ro", "nosuid"} <= set(text.split()[5].split(","))
    assert "Read-only file system" in text


def test_a_mount_remounted(runtime, bundle, source):
    mount(bundle, source=str(source), options=["bind", "ro", "nodev"])
    mount(bundle, options=["remount", "rw", "noexec", "noatime"])
    text = said(runtime, bundle, "grep ' /m ' /proc/self/mountinfo; touch /m/x")
    assert set(text.split()[5].split(",")) == {"rw", "nodev", "noexec", "noatime"}


def test_a_remount_of_nothing(runtime, bundle):
    mount(bundle, destination="/bin", options=["remount", "ro"])
    assert "remount /bin: mount_setattr: invalid argument" in refused(runtime, bundle)
    bundle.config["mounts"][-1]["options"] = ["remount", "size=5"]
    assert "a remount changes a mount's own flags" in refused(runtime, bundle)


@pytest.mark.parametrize("kind", ["sysfs", "proc"])
def test_what_a_user_namespace_cannot_mount_is_the_hosts(runtime, bundle, kind):
    linux = bundle.config["linux"]
    needed = {"sysfs": "network", "proc": "pid"}[kind]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != needed]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = ids(0, 0)
    linux["maskedPaths"] = linux["readonlyPaths"] = []
    if kind == "proc":
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "mqueue"]
    place = {"sysfs": "/sys", "proc": "/proc"}[kind]
    # One of the host's processes may end in the meantime: then ls fails.
    show = f"grep ' {place} {kind} ' /proc/mounts; ls {place} 2>/dev/null || :"
    text = said(runtime, bundle, show)
    names = {"sysfs": "kernel", "proc": "cpuinfo"}[kind]
    assert names in text.split()


def test_a_destination_with_the_host_s_path_of_the_root(runtime, bundle):
    mount(bundle, destination=f"{bundle.rootfs}/m", type="tmpfs", source="here")
    assert said(runtime, bundle, "grep -c '^here /m ' /proc/mounts") == "1\n"
    assert (bundle.rootfs / "m").is_dir()


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user_namespace"])
def test_a_source_that_another_mount_brings(runtime, bundle, source, mapped):
    """With a user namespace all others are opened before there is any mount."""
    (source / "below" / "inner").touch()
    if mapped:
        bundle.config["linux"]["namespaces"].append({"type": "user"})
        bundle.config["linux"] |= {"uidMappings": ids(0, 100000), "gidMappings": ids(0, 100000)}
        for path in (bundle.rootfs, *bundle.rootfs.parents[:4]):
            path.chmod(0o755)
        os.chown(bundle.rootfs, 100000, 100000)
    mount(bundle, destination="/first", source=str(source), options=["bind"])
    mount(bundle, destination="/m", source=f"{bundle.rootfs}/first/below", options=["bind"])
    assert said(runtime, bundle, "ls /m") == "inner\n"


def test_a_source_that_another_mount_brings_cannot_be_mapped(runtime, bundle, source):
    mount(bundle, destination="/first", source=str(source), options=["bind"])
    mount(bundle, source=f"{bundle.rootfs}/first/below", options=["bind"],
          uidMappings=ids(0, 5000), gidMappings=ids(0, 7000))  # fmt: skip
    assert "what another mount brings cannot be id-mapped" in refused(runtime, bundle)
