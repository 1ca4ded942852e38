# SPDX-License-Identifier: Apache-2.0
"""Containers of ordinary users, and in user namespaces of others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lib import support

USER = 1000  # who need not be in /etc/passwd, but where newuidmap is asked
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
RUN = "/run/user/1000"


def ids(*ranges: tuple[int, int, int]) -> list[dict[str, int]]:
    return [dict(zip(("containerID", "hostID", "size"), row, strict=True)) for row in ranges]


ONE = ids((0, USER, 1))
MANY = ids((0, USER, 1), (1, 100000, 65536))


@pytest.fixture
def rootless(bundle, tmp_path):
    """A bundle and a runtime of a user whose directory nobody else may enter."""
    from pyrunc.spec.template import default_spec

    unified = support.default_config()["linux"]["namespaces"][-1]["type"] == "cgroup"
    bundle.config = default_spec(True, USER, USER, unified)
    bundle.config["process"]["terminal"] = False
    made = support.Runtime(support.PYRUNC, tmp_path / "state")
    made.prefix = (*AS_USER, "env", "-i", "PATH=/usr/sbin:/usr/bin:/bin")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.lchown(path, USER, USER)
    # pytest's own directories above are root's, and closed.
    for path in list(tmp_path.parents)[:2]:
        path.chmod(path.stat().st_mode | 0o111)
    yield Rootless(made, bundle)
    made.clean()


class Rootless:
    def __init__(self, runtime, bundle) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.linux = bundle.config["linux"]
        self.process = bundle.config["process"]

    def maps(self, maps) -> None:
        self.linux["uidMappings"] = self.linux["gidMappings"] = maps

    def said(self, script: str) -> str:
        self.bundle.shell(script)
        done = self.runtime.run(self.bundle)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self) -> str:
        self.bundle.args("/bin/true")
        done = self.runtime.run(self.bundle)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        return done.stderr


SEEN = (
    "id -u; id -g; cat /proc/self/uid_map; cat /proc/self/setgroups; echo x > /dev/null; hostname"
)


def test_with_ones_own_id(rootless):
    lines = rootless.said(SEEN).splitlines()
    assert lines[:2] == ["0", "0"]
    assert lines[2].split() == ["0", str(USER), "1"]
    assert lines[3] == "deny"


def test_its_life(rootless):
    rootless.bundle.args("/bin/sleep", "1000")
    runtime = rootless.runtime
    name = runtime.create(rootless.bundle)
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    assert name in runtime("list", "-q").stdout
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    runtime("delete", name)
    assert not (runtime.root / name).exists()


def test_groups_that_cannot_be_had(rootless):
    rootless.process["user"]["additionalGids"] = [5]
    assert "cannot set any additional groups in a rootless container" in rootless.refused()


def test_a_limit_without_permission(rootless):
    rootless.linux["resources"] = {"pids": {"limit": 5}}
    text = rootless.refused()
    assert "no permission is granted for cgroups" in text
    assert "[/linux/resources]" in text


def test_a_cgroup_without_permission(rootless):
    rootless.linux["cgroupsPath"] = "/somewhere"
    assert "create cgroup" in rootless.refused()


def granted() -> bool:
    return shutil.which("newuidmap") is not None and "tester" in Path("/etc/subuid").read_text()


needs_ranges = pytest.mark.skipif(
    not granted(), reason="needs newuidmap, and ranges in /etc/subuid: the test guest has them"
)


@needs_ranges
def test_with_65536_more_ids(rootless):
    rootless.maps(MANY)
    rootless.process["user"] = {"uid": 33, "gid": 44, "additionalGids": [5, 6]}
    for path in (rootless.bundle.rootfs, *rootless.bundle.rootfs.rglob("*")):
        os.lchown(path, USER, USER)
    lines = rootless.said("id -u; id -g; id -G; cat /proc/self/setgroups").splitlines()
    assert lines == ["33", "44", "44 5 6", "allow"]


@needs_ranges
def test_a_debian_tree_with_users_of_its_own(rootless):
    """As apt runs its methods: under another id than root's, with directories of that id."""
    rootfs = rootless.bundle.rootfs
    shutil.rmtree(rootfs)
    for name in ("etc", "proc", "dev", "sys", "tmp", "usr", "var/cache/apt/archives/partial"):
        (rootfs / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (rootfs / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "debian_version", "ld.so.cache"):
        shutil.copy(f"/etc/{name}", rootfs / "etc" / name)
    for path in (rootfs, *rootfs.rglob("*")):
        os.lchown(path, USER, USER)
    # Id 42 of the container is the 42nd of the range: _apt has that one in every Debian.
    os.chown(rootfs / "var/cache/apt/archives/partial", 100041, USER)
    rootless.maps(MANY)
    rootless.bundle.config["root"]["readonly"] = False
    more = [f"CAP_{name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")]
    for name in ("bounding", "effective", "permitted"):
        rootless.process["capabilities"][name] += more
    rootless.bundle.config["mounts"].append(
        {"destination": "/usr", "source": "/usr", "options": ["rbind", "ro"]}
    )
    rootless.bundle.args(
        "/bin/bash",
        "-c",
        "cat /etc/debian_version; id; cd /var/cache/apt/archives; stat -c %U partial; "
        "setpriv --reuid=_apt --regid=nogroup --clear-groups bash -c 'id -un; touch partial/x'; "
        "stat -c %U:%G partial/x; chown daemon:mail partial/x; stat -c %U:%G partial/x; "
        "dpkg --version | head -1; exit 7",
    )
    done = rootless.runtime.run(rootless.bundle)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("uid=0(root) gid=0(root)")
    assert lines[2:6] == ["_apt", "_apt", "_apt:nogroup", "daemon:mail"]
    assert "dpkg" in lines[6]
    assert os.stat(rootfs / "var/cache/apt/archives/partial/x").st_uid == 100000


@needs_ranges
def test_ids_that_are_not_granted(rootless):
    rootless.maps(ids((0, USER, 1), (1, 5, 10)))
    text = rootless.refused()
    assert "newgidmap" in text
    assert "/linux/gidMappings" in text


@pytest.mark.skipif(granted(), reason="newuidmap is there")
def test_ids_that_nobody_can_grant(rootless):
    rootless.maps(ids((0, USER, 1), (1, 100000, 65536)))
    text = rootless.refused()
    assert "newgidmap" in text


@pytest.mark.parametrize("own", [False, True])
def test_within_another_user_namespace(runtime, bundle, own, tmp_path):
    """As podman runs its runtime: root of a user namespace, and nobody on the host."""
    linux = bundle.config["linux"]
    linux.pop("resources", None)
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "cgroup"]
    maps = "0 100000 65536"
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.lchown(path, 100000, 100000)
        if path.is_dir():
            path.chmod(0o755)
    if own:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = ids((0, 1, 1000))
        for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
            os.lchown(path, 100001, 100001)
    for path in list(tmp_path.parents)[:2]:
        path.chmod(path.stat().st_mode | 0o111)
    bundle.shell("id -u; echo x > /dev/null; cat /proc/self/uid_map; ls -l /dev/zero")
    done = in_user_namespace(
        maps, [runtime.program, "--root", str(tmp_path / "s"), "run", "-b", str(bundle.path), "x"]
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "0"
    assert lines[1].split() == (["0", "1", "1000"] if own else maps.split())
    assert lines[2].startswith("crw-rw-rw-")


# A cgroup of the user's, as systemd delegates it: only cgroup2 is mounted, and we are in a leaf.
DELEGATED = """
set -e
mount | grep -q 'on /sys/fs/cgroup type cgroup2' || {
    umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
}
mkdir -p /sys/fs/cgroup$1/me
chown 100000 /sys/fs/cgroup$1 /sys/fs/cgroup$1/cgroup.* /sys/fs/cgroup$1/me/cgroup.procs
echo $$ > /sys/fs/cgroup$1/me/cgroup.procs
shift
exec "$@"
"""


@pytest.mark.parametrize("rules", [True, False])
def test_a_delegated_cgroup_within_another_user_namespace(runtime, bundle, rules, tmp_path):
    """bpf(2) is refused there, and without a device node to make there is nothing to filter."""
    top = f"/{runtime.new_id()}"
    linux = bundle.config["linux"]
    linux["cgroupsPath"] = f"{top}/box"
    # So that the program sees which cgroup it is in.
    linux["namespaces"] = [ns for ns in linux["namespaces"] if ns["type"] != "cgroup"]
    if not rules:
        linux.pop("resources", None)
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "cgroup"]
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.lchown(path, 100000, 100000)
    for path in list(tmp_path.parents)[:2]:
        path.chmod(path.stat().st_mode | 0o111)
    bundle.shell("cat /proc/self/cgroup; echo x > /dev/null; mknod /dev/m c 1 1 2>&1")
    command = [runtime.program, "--root", str(tmp_path / "s"), "run", "-b", str(bundle.path), "x"]
    view = ["unshare", "-m", "--propagation", "private", "sh", "-c", DELEGATED, "sh", top]
    try:
        done = in_user_namespace("0 100000 65536", command, view)
    finally:
        for name in ("/me", "/box", ""):
            for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
                if os.path.isdir(mount + top + name):
                    os.rmdir(mount + top + name)
    assert f"0::{top}/box\n" in done.stdout, done.stderr
    assert "mknod: /dev/m: Operation not permitted" in done.stdout
    assert "bpf" not in done.stderr


def in_user_namespace(
    maps: str, command: list[str], before: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as root of a new user namespace with these maps; `before` as root here."""
    process = subprocess.Popen(
        [*(before or []), "unshare", "-U", "--keep-caps",
         "sh", "-c", 'echo ready; read go; exec "$@"', "sh",
         "setpriv", "--reuid=0", "--regid=0", "--clear-groups", *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{name}").write_text(maps)
    out, err = process.communicate("\n", timeout=60 * support.SLOW)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.parametrize("nested", [False, True], ids=["own", "outside"])
def test_a_sysctl_with_the_pid_namespace_of_the_host(rootless, nested):
    """The kernel allows no procfs of ours then; the host's is the same one (podman --pid=host)."""
    namespaces = [ns for ns in rootless.linux["namespaces"] if ns["type"] != "pid"]
    rootless.linux["namespaces"] = [*namespaces, {"type": "network"}]
    rootless.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 0"}
    rootless.linux["maskedPaths"] = rootless.linux["readonlyPaths"] = []
    rootless.bundle.config["mounts"] = [
        mount
        if mount["destination"] != "/proc"
        else {"destination": "/proc", "source": "/proc", "options": ["rbind"]}
        for mount in rootless.bundle.config["mounts"]
        if mount["destination"] != "/sys/fs/cgroup"
    ]
    if nested:
        # As engines do it that make the user namespace themselves.
        rootless.runtime.prefix += ("unshare", "-r", "-m")
        rootless.linux["namespaces"] = [
            ns for ns in rootless.linux["namespaces"] if ns["type"] != "user"
        ]
        rootless.linux.pop("uidMappings")
        rootless.linux.pop("gidMappings")
    assert rootless.said("cat /proc/sys/net/ipv4/ping_group_range").split() == ["0", "0"]


def planned(rootless) -> list[dict[str, str]]:
    rootless.bundle.write()
    done = rootless.runtime("plan", "--json", "-b", str(rootless.bundle.path), check=False)
    document = json.loads(done.stdout)
    assert done.returncode == (document["verdict"] == "impossible")
    return document["findings"]


def test_a_plan_is_made_for_the_user_who_asks(rootless, tmp_path):
    rootless.bundle.write()
    before = {*tmp_path.rglob("*")}
    assert planned(rootless) == []
    rootless.linux["namespaces"] = [
        one for one in rootless.linux["namespaces"] if one["type"] != "user"
    ]
    del rootless.linux["uidMappings"], rootless.linux["gidMappings"]
    assert planned(rootless) == [
        {
            "verdict": "impossible",
            "text": "only root may make a container without a user namespace"
            ' (add {"type": "user"})',
            "pointer": "/linux/namespaces",
        }
    ]
    assert {*tmp_path.rglob("*")} == before
    assert "operation not permitted" in rootless.refused()


def test_a_plan_knows_who_may_map_ids(rootless):
    rootless.maps(MANY)
    helper = shutil.which("newuidmap")
    expected = [] if helper else ["mapping more than your own id needs newgidmap (install the "
                                  "package uidmap, or map one id only)"]  # fmt: skip
    assert [one["text"] for one in planned(rootless)][:1] == expected
