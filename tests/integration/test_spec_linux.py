# SPDX-License-Identifier: Apache-2.0
"""Every property of `linux` besides the cgroup's, as the program inside sees it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pyrunc.spec.names import NAMESPACES
from tests.lib import support
from tests.lib.support import refused, said

FILES = {kind: kind for kind in NAMESPACES} | {"mount": "mnt", "network": "net"}
LINKS = "cd /proc/self/ns; for i in *; do echo $i $(readlink $i); done"


def namespaces(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines())


def without(bundle, kind: str) -> list:
    linux = bundle.config["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != kind]
    return linux["namespaces"]


def mapped(bundle, container: int = 0, host: int = 0, size: int = 65536) -> None:
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    ranges = [{"containerID": container, "hostID": host, "size": size}]
    linux["uidMappings"] = linux["gidMappings"] = ranges


def prepared(bundle, kind: str) -> None:
    """What else the default bundle needs, where this namespace is not new."""
    linux = bundle.config["linux"]
    if kind == "uts":
        del bundle.config["hostname"]
    if kind in ("network", "user"):
        # A sysfs needs a network namespace that the user namespace owns.
        bundle.config["mounts"] = [
            m for m in bundle.config["mounts"] if not m["destination"].startswith("/sys")
        ]
        linux["maskedPaths"] = linux["readonlyPaths"] = []


@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_namespace_that_is_listed_is_new(runtime, bundle, kind):
    without(bundle, kind)
    if kind == "user":
        mapped(bundle)
    else:
        bundle.config["linux"]["namespaces"].append({"type": kind})
    name = FILES[kind]
    assert namespaces(said(runtime, bundle, LINKS))[name] != os.readlink(f"/proc/self/ns/{name}")


@pytest.mark.parametrize("kind", [kind for kind in NAMESPACES if kind != "mount"])
def test_a_namespace_that_is_not_listed_is_the_runtimes(runtime, bundle, kind):
    without(bundle, kind)
    prepared(bundle, kind)
    name = FILES[kind]
    assert namespaces(said(runtime, bundle, LINKS))[name] == os.readlink(f"/proc/self/ns/{name}")


@pytest.fixture
def holder():
    """A process of ours in new namespaces of every kind."""
    words = ["unshare", "-muinpUCT", "--map-root-user", "--fork", "--kill-child", "sleep", "1000"]
    with subprocess.Popen(words) as started:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        deadline = time.monotonic() + 10 * support.SLOW
        while not (found := children.read_text().split()):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        while Path(f"/proc/{found[0]}/comm").read_text() != "sleep\n":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield int(found[0])
        started.kill()


@pytest.mark.parametrize("kind", [kind for kind in NAMESPACES if kind not in ("mount", "user")])
def test_a_namespace_with_a_path_is_joined(runtime, bundle, holder, kind):
    prepared(bundle, kind)
    path = f"/proc/{holder}/ns/{FILES[kind]}"
    without(bundle, kind).append({"type": kind, "path": path})
    assert namespaces(said(runtime, bundle, LINKS))[FILES[kind]] == os.readlink(path)


def test_id_maps(runtime, bundle):
    mapped(bundle, 0, 100000, 1000)
    bundle.config["linux"]["gidMappings"] = [
        {"containerID": 0, "hostID": 200000, "size": 10},
        {"containerID": 50, "hostID": 300000, "size": 20},
    ]
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.lchown(path, 100000, 200000)
    text = said(runtime, bundle, "cat /proc/self/uid_map /proc/self/gid_map")
    assert [line.split() for line in text.splitlines()] == [
        ["0", "100000", "1000"], ["0", "200000", "10"], ["50", "300000", "20"],
    ]  # fmt: skip


def test_the_root_filesystem_keeps_its_owners(runtime, bundle):
    mapped(bundle, 0, 100000)
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.lchown(path, 100000, 100000)
    (bundle.rootfs / "foreign").touch()
    os.chown(bundle.rootfs / "foreign", 5, 6)
    said(runtime, bundle, "true")
    assert (os.stat(bundle.rootfs / "foreign").st_uid, os.stat(bundle.rootfs / "bin").st_uid) == (
        5, 100000,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["hostname", "domainname"])
def test_names(runtime, bundle, kind):
    bundle.config[kind] = "a-name"
    before = Path(f"/proc/sys/kernel/{kind}").read_text()
    assert said(runtime, bundle, f"cat /proc/sys/kernel/{kind}") == "a-name\n"
    assert Path(f"/proc/sys/kernel/{kind}").read_text() == before


DEVICES = [
    ({"path": "/dev/c", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640},
     "character special file 640 a:e5 0:0"),
    ({"path": "/dev/u", "type": "u", "major": 1, "minor": 3}, "character special file 666 1:3 0:0"),
    ({"path": "/dev/b", "type": "b", "major": 7, "minor": 9, "uid": 5, "gid": 6},
     "block special file 666 7:9 5:6"),
    ({"path": "/dev/s", "type": "c", "major": 10, "minor": 229, "fileMode": 0o1232},
     "character special file 1232 a:e5 0:0"),
    ({"path": "/dev/p", "type": "p", "fileMode": 0o4622, "uid": 7}, "fifo 622 0:0 7:0"),
    ({"path": "/new/dir/x", "type": "c", "major": 1, "minor": 5},
     "character special file 666 1:5 0:0"),
]  # fmt: skip


@pytest.mark.parametrize(("device", "shown"), DEVICES, ids=lambda value: str(value)[:25])
def test_a_device(runtime, bundle, device, shown):
    bundle.config["linux"]["devices"] = [device]
    text = said(runtime, bundle, f"stat -c '%F %a %t:%T %u:%g' {device['path']}")
    assert text == shown + "\n"


def test_default_devices_and_links(runtime, bundle):
    names = "null zero full random urandom tty"
    text = said(runtime, bundle, f"cd /dev; stat -c '%t:%T %a' {names}; for i in fd stdin stdout "
                "stderr ptmx; do readlink $i; done")  # fmt: skip
    assert text.splitlines() == [
        *(f"{number} 666" for number in ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0")),
        *("/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"),
    ]


def test_a_device_where_something_else_stands(runtime, bundle):
    bundle.config["root"]["readonly"] = False
    (bundle.rootfs / "node").write_text("a file")
    bundle.config["linux"]["devices"] = [
        {"path": "/node", "type": "c", "major": 1, "minor": 3},
    ]
    assert "[/linux/devices/0]" in refused(runtime, bundle)


def test_a_device_rule_decides(runtime, bundle):
    devices = [{"path": f"/dev/d{minor}", "type": "c", "major": 1, "minor": minor}
               for minor in (1, 2, 11)]  # fmt: skip
    linux = bundle.config["linux"]
    linux["devices"] = devices
    for names in ("bounding", "effective", "permitted"):
        bundle.config["process"]["capabilities"][names] = ["CAP_SYSLOG"]  # to open /dev/kmsg
    linux["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"},
    ]
    script = (
        "for i in d1 d11 null; do "
        "dd if=/dev/$i count=0 2>/dev/null && echo $i r; "
        "dd of=/dev/$i if=/dev/null 2>/dev/null && echo $i w; done; true"
    )
    assert said(runtime, bundle, script).splitlines() == ["d11 r", "null r", "null w"]


SYSCTLS = {
    "net.ipv4.ip_forward": "1", "kernel.msgmax": "8000", "fs.mqueue.msg_max": "20",
    "net/ipv4/tcp_syncookies": "0",
}  # fmt: skip


@pytest.mark.parametrize("key", SYSCTLS)
def test_a_sysctl(runtime, bundle, key):
    """In force although /proc/sys is read-only for the program."""
    bundle.config["linux"]["sysctl"] = {key: SYSCTLS[key]}
    file = "/proc/sys/" + key.replace(".", "/")
    before = Path(file).read_text()
    assert said(runtime, bundle, f"cat {file}") == SYSCTLS[key] + "\n"
    assert Path(file).read_text() == before


def test_a_sysctl_of_the_hosts_own_network(runtime, bundle):
    """A path may name it, and its settings must not change."""
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    without(bundle, "network").append({"type": "network", "path": f"/proc/{os.getpid()}/ns/net"})
    prepared(bundle, "network")
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": before.strip()}
    assert "a net.* sysctl needs a network namespace of its own" in refused(runtime, bundle)


@pytest.mark.parametrize("kind", ["file", "directory", "missing"])
def test_a_masked_path_is_empty(runtime, bundle, kind):
    secret = bundle.rootfs / "secret"
    if kind == "file":
        secret.write_text("secret")
    elif kind == "directory":
        secret.mkdir()
        (secret / "inner").touch()
    bundle.config["linux"]["maskedPaths"] = ["/secret"]
    assert said(runtime, bundle, "cat /secret/inner /secret 2>/dev/null; ls /secret/ 2>/dev/null; "
                "echo end") == "end\n"  # fmt: skip


def test_a_read_only_path(runtime, bundle):
    bundle.config["root"]["readonly"] = False
    for name in ("kept", "other"):
        (bundle.rootfs / name).mkdir()
    (bundle.rootfs / "file").write_text("kept")
    bundle.config["linux"]["readonlyPaths"] = ["/kept", "/file", "/nosuch"]
    text = said(runtime, bundle, "for i in kept/x file other/x; do touch /$i && echo $i; done "
                "2>/dev/null; true")  # fmt: skip
    assert text == "other/x\n"


def test_annotations_are_in_the_state(runtime, bundle):
    bundle.config["annotations"] = {"org.example.a": "1", "b": ""}
    name = runtime.create(bundle.write())
    assert runtime.state(name)["annotations"] == {"org.example.a": "1", "b": ""}


@pytest.mark.parametrize("given", [True, False])
def test_the_cgroup_is_where_it_is_asked_for(runtime, bundle, given):
    name = runtime.new_id()
    path = f"/{name}-parent/child"
    if given:
        bundle.config["linux"]["cgroupsPath"] = path
    bundle.args("/bin/sleep", "1000")
    runtime.create(bundle, name)
    lines = Path(f"/proc/{runtime.state(name)['pid']}/cgroup").read_text().splitlines()
    ends = {line.rpartition(":")[2] for line in lines}
    assert any(end.endswith(path if given else f"/{name}") for end in ends)
    runtime("delete", "--force", name)
    # What the path needed above itself stays, as with runc: it may be others'.
    for left in sorted(support.cgroups_named(f"{name}-parent"), reverse=True):
        os.rmdir(left)


def test_an_interface_of_ones_own(runtime, bundle):
    """A new network namespace has its loopback up, and nothing of the host's."""
    text = said(runtime, bundle, "cat /proc/net/dev | wc -l; cat /sys/class/net/lo/flags")
    assert text.split() == ["3", "0x9"]


def test_the_default_propagation_is_a_slaves(runtime, bundle):
    """Mounts of the host come in, none goes out."""
    runtime.prefix = ("unshare", "-m", "--propagation", "shared")
    bundle.config["linux"].pop("rootfsPropagation", None)
    text = said(runtime, bundle, "grep ' / ' /proc/self/mountinfo")
    assert "shared:" not in text


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [("private", ""), ("rprivate", ""), ("slave", "master:"), ("rslave", "master:"),
     ("shared", "shared:"), ("rshared", "shared:"), ("unbindable", "unbindable"),
     ("runbindable", "unbindable")],
)  # fmt: skip
def test_propagation_of_the_root(runtime, bundle, wanted, shown):
    runtime.prefix = ("unshare", "-m", "--propagation", "shared")
    bundle.config["linux"]["rootfsPropagation"] = wanted
    bundle.config["linux"] |= {"maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"]}
    text = said(runtime, bundle, "cat /proc/self/mountinfo")
    # Covered all the same, though what is unbindable cannot be bound over itself.
    assert " /null /proc/keys rw" in text
    assert " /sys /proc/sys ro" in text
    [line] = [line.split() for line in text.splitlines() if line.split()[4] == "/"]
    optional = line[6 : line.index("-")]
    assert any(word.startswith(shown) for word in optional) if shown else not optional


@pytest.mark.parametrize("path", ["/", "/.", "//", "/link"])
def test_a_read_only_path_that_is_the_root_itself(runtime, bundle, path):
    """No look-up crosses what is mounted on top of "/": the root's own mount is changed."""
    bundle.config["root"]["readonly"] = False
    bundle.config["linux"]["readonlyPaths"] = [path]
    (bundle.rootfs / "link").symlink_to("/")
    text = said(runtime, bundle, "touch /new 2>&1; touch /dev/shm/new && echo inside")
    assert "Read-only file system" in text
    assert "inside" in text
    assert not (bundle.rootfs / "new").exists()


@pytest.mark.parametrize("path", ["/", "/link"])
def test_the_root_itself_cannot_be_masked(runtime, bundle, path):
    bundle.config["linux"]["maskedPaths"] = [path]
    (bundle.rootfs / "link").symlink_to("/")
    text = refused(runtime, bundle)
    assert "a mount cannot cover the root filesystem" in text
    assert "/linux/maskedPaths/0" in text
