# SPDX-License-Identifier: Apache-2.0
"""Ways out of a container that were open once, somewhere: mounts, masks, /dev, the program.

docs/spec-coverage.md, "Escapes", has the list; test_hostile_image.py and test_escapes_caller.py
hold the rest. What a race may do is bounded by counted attempts: failures are allowed, a wrong
success is not.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.test_hostile_image import canary, snapshot
from tests.lib import support

assert canary  # the fixture

MOUNTS = Path("/proc/self/mountinfo")
ATTEMPTS = max(3, 25 // support.EVERY)


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names all the time, from another process."""
    rename = ctypes.CDLL(None).renameat2
    names = os.fsencode(one), os.fsencode(other)
    pid = os.fork()
    if pid == 0:
        while True:
            rename(-100, names[0], -100, names[1], 2)  # AT_FDCWD, RENAME_EXCHANGE
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def no_dev(bundle) -> None:
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")
    ]


def bind(bundle, destination: str, source, *options: str) -> None:
    bundle.config["mounts"].append(
        {"destination": destination, "source": str(source), "options": list(options or ("rbind",))}
    )


# --- /proc and /sys --------------------------------------------------------------------------

SHAPES = ("absolute", "relative", "dangling", "up", "self", "volume", "file")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_of_every_odd_shape(runtime, bundle, canary, name, shape):
    """CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867 (T-proc-shape)."""
    place = bundle.rootfs / name
    targets = {
        "absolute": str(canary), "relative": f"../../{canary.name}", "dangling": "/nosuch/x",
        "up": "../../..", "self": f"/{name}", "volume": "/vol",
    }  # fmt: skip
    if shape == "file":
        place.write_text("a file")
    else:
        place.symlink_to(targets[shape])
    if shape == "volume":
        (bundle.rootfs / "vol").mkdir()
        bundle.config["mounts"].insert(
            0, {"destination": "/vol", "source": str(canary), "options": ["rbind"]}
        )
    before = snapshot(canary), MOUNTS.read_text()
    done = runtime.run(bundle.shell("echo ran"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/{name}" in done.stderr
    assert (snapshot(canary), MOUNTS.read_text()) == before


def test_proc_that_changes_meanwhile(runtime, bundle, canary):
    """The same, raced: a procfs on what /proc was at some moment, or an error; nothing outside."""
    (bundle.rootfs / "proc").mkdir()
    (bundle.rootfs / "other").symlink_to(str(canary))
    before = snapshot(canary), MOUNTS.read_text()
    bundle.shell("grep -c ' - proc proc' /proc/self/mountinfo")
    with swapping(bundle.rootfs / "proc", bundle.rootfs / "other"):
        for _ in range(ATTEMPTS):
            assert "Traceback" not in runtime.run(bundle).stderr
    assert (snapshot(canary), MOUNTS.read_text()) == before


def test_masks_below_a_proc_that_was_moved(runtime, bundle):
    """What lies below /proc is masked on our own procfs, wherever that is.

    Whoever can rename the rootfs's proc between the mounts and the masks gets an unmasked one.
    """
    (bundle.rootfs / "proc").mkdir()
    root = bundle.rootfs
    script = f"mv {root}/proc {root}/moved && ln -s /nosuch {root}/proc"
    bundle.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]
    }
    done = runtime.run(bundle.shell("stat -c %t:%T /moved/keys"))
    assert done.returncode == 1 or done.stdout == "1:3\n"


@pytest.mark.parametrize("name", ["meminfo", "cpuinfo", "uptime", "loadavg"])
def test_what_lxcfs_covers_may_be_covered(runtime, bundle, tmp_path, name):
    (tmp_path / "mine").write_text("mine\n")
    bind(bundle, f"/proc/{name}", tmp_path / "mine", "bind")
    assert runtime.run(bundle.shell(f"cat /proc/{name}")).stdout == "mine\n"


@pytest.mark.parametrize("name", ["version", "sys/kernel/core_pattern", "self/attr/exec"])
def test_nothing_else_may_be(runtime, bundle, tmp_path, name):
    (tmp_path / "mine").write_text("mine\n")
    bind(bundle, f"/proc/{name}", tmp_path / "mine", "bind")
    done = runtime.run(bundle.shell("echo ran"))
    assert (done.returncode, done.stdout) == (1, "")


# --- mount points ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/proc/self/attr", "/proc/sys/net", "/sys", "../" * 12])
def test_a_volume_that_changes_meanwhile(runtime, bundle, canary, tmp_path, target):
    """CVE-2021-30465, CVE-2024-45310, CVE-2025-52881 (T-mount-race)."""
    volume = tmp_path / "volume"
    (volume / "r").mkdir(parents=True)
    (volume / "l").symlink_to(target)
    bind(bundle, "/vol", volume)
    (tmp_path / "file").write_text("x")
    for number in range(6):
        kind = number % 3
        if kind == 0:
            bundle.config["mounts"].append(
                {"destination": f"/vol/r/t{number}", "type": "tmpfs", "source": "tmpfs"}
            )
        else:
            source = canary if kind == 1 else tmp_path / "file"
            bind(bundle, f"/vol/r/b{number}", source, "bind")
    bundle.shell("cat /proc/self/mountinfo")
    allowed = {"/proc", "/sys"}
    baseline = {
        line.split()[4] for line in runtime.run(bundle).stdout.splitlines()
        if line.split()[4].startswith(("/proc", "/sys"))
    }  # fmt: skip
    before = snapshot(canary), MOUNTS.read_text(), os.listdir("/")
    with swapping(volume / "r", volume / "l"):
        for _ in range(ATTEMPTS):
            done = runtime.run(bundle)
            places = {line.split()[4] for line in done.stdout.splitlines()}
            found = {place for place in places if place.startswith(("/proc", "/sys"))}
            assert found <= baseline | allowed
            assert "Traceback" not in done.stderr
    assert (snapshot(canary), MOUNTS.read_text(), os.listdir("/")) == before


@pytest.mark.parametrize("target", ["/proc/1/root", "/proc/self/cwd", "/oldroot", "/../.."])
def test_parents_that_are_links_to_nowhere_else(runtime, bundle, canary, target):
    """CVE-2026-87766 and its kind: a mount point's parent leads out of no container."""
    (bundle.rootfs / "a").symlink_to(target + str(canary))
    bundle.config["mounts"].append({"destination": "/a/new", "type": "tmpfs", "source": "tmpfs"})
    before = snapshot(canary)
    done = runtime.run(bundle)
    assert "Traceback" not in done.stderr
    assert snapshot(canary) == before


@pytest.mark.parametrize("count", [39, 41])
def test_long_chains_of_links(runtime, bundle, count):
    """crun 1.28's overflow: forty links and no more, as the kernel has it."""
    name = "x" * 250
    for number in range(count):
        (bundle.rootfs / f"{name}{number}").symlink_to(f"{name}{number + 1}")
    (bundle.rootfs / f"{name}{count}").mkdir()
    bundle.config["mounts"].append({"destination": f"/{name}0", "type": "tmpfs"})
    done = runtime.run(bundle.shell("grep -c '/xxx' /proc/mounts"))
    if count < 40:
        assert done.stdout == "1\n"
    else:
        assert done.returncode == 1
        assert "too many levels of symbolic links" in done.stderr


# --- masks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("null", ["directory", "closed", "other", "changing"])
def test_masks_need_the_null_device_and_no_other(runtime, bundle, tmp_path, null):
    """CVE-2025-31133, CVE-2025-62161 (T-masks), beside test_hostile_image.py."""
    dev = tmp_path / "dev"
    dev.mkdir()
    secret = bundle.rootfs / "secret"
    secret.write_text("secret")
    place = dev / "null"
    if null == "directory":
        place.mkdir()
    else:
        number = (1, 3) if null in ("closed", "changing") else (10, 229)
        os.mknod(place, 0o020000 | (0 if null == "closed" else 0o666), os.makedev(*number))
    no_dev(bundle)
    bind(bundle, "/dev", dev, "rbind", "rw")
    bundle.config["linux"]["maskedPaths"] = ["/secret"]
    bundle.shell("cat /secret; echo ran")
    if null == "changing":
        (dev / "link").symlink_to("/secret")
        with swapping(place, dev / "link"):
            for _ in range(ATTEMPTS):
                assert "secret" not in runtime.run(bundle).stdout
        return
    done = runtime.run(bundle)
    assert "secret" not in done.stdout
    # With mode 0 it is the null device all the same.
    assert done.returncode == (0 if null == "closed" else 1)


def test_every_default_mask_is_one(runtime, bundle):
    """What is there reads as nothing, and its directories are empty."""
    masked = bundle.config["linux"]["maskedPaths"]
    assert len(masked) >= 8
    script = "".join(
        f"test -d {path} && ls {path}; test -f {path} && cat {path} 2>/dev/null; "
        f"test -c {path} && stat -c %t:%T {path};"
        for path in masked
    )
    done = runtime.run(bundle.shell(script + "true"))
    assert set(done.stdout.split()) <= {"1:3"}


# --- /dev and the console --------------------------------------------------------------------

PLANTED = ("null", "zero", "ptmx", "console", "fd", "stdin", "core", "pts", "shm", "mqueue")


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("readonly", [False, True])
def test_names_that_we_make_are_planted_as_links(runtime, bundle, canary, name, readonly):
    """CVE-2025-24965, CVE-2026-47766, CVE-2026-88265: no node, no owner, no file out there."""
    no_dev(bundle)
    bundle.config["root"]["readonly"] = readonly
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    (bundle.rootfs / "dev").mkdir()
    target = canary / "ptmx"  # an ordinary file of the host
    (bundle.rootfs / "dev" / name).symlink_to(target)
    bundle.config["mounts"] += [
        {"destination": f"/dev/{kind}", "type": "tmpfs"} for kind in ("pts", "shm", "mqueue")
    ]
    before = snapshot(canary), target.stat().st_uid, target.read_text()
    done = runtime.run(bundle.args("/bin/true"))
    assert "Traceback" not in done.stderr
    assert (snapshot(canary), target.stat().st_uid, target.read_text()) == before


@pytest.mark.parametrize("kind", ["absent", "file", "directory", "link", "dangling", "inside"])
@pytest.mark.parametrize("readonly", [False, True])
def test_console_of_every_odd_shape(runtime, bundle, canary, tmp_path, kind, readonly):
    """CVE-2025-52565, CVE-2026-88264 (T-console): a pty of ours, or an error."""
    bundle.config["process"]["terminal"] = True
    bundle.config["root"]["readonly"] = readonly
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != "/dev"]
    dev = bundle.rootfs / "dev"
    dev.mkdir()
    place = dev / "console"
    if kind == "file":
        place.write_text("x")
    elif kind == "directory":
        place.mkdir()
    elif kind == "inside":
        (bundle.rootfs / "inside").write_text("x")
        place.symlink_to("/inside")
    elif kind != "absent":
        place.symlink_to(canary / ("ptmx" if kind == "link" else "new"))
    before = snapshot(canary)
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        bundle.args("/bin/sleep", "1000")
        words = ["create", "--console-socket", path, "-b", str(bundle.path), runtime.new_id()]
        done = runtime(*words, check=False, stdin=None)
    assert snapshot(canary) == before
    assert (canary / "ptmx").read_text() == "mine"
    if kind in ("absent", "file"):
        assert done.returncode == 0, done.stderr
        pid = runtime.state(runtime.ids[-1])["pid"]
        node = os.stat(f"/proc/{pid}/root/dev/console")
        assert os.major(node.st_rdev) == 136
        assert os.stat(f"/proc/{pid}/fd/0").st_rdev == node.st_rdev
    else:
        assert done.returncode == 1


def no_console(runtime, bundle, tmp_path) -> str:
    """Why there is no terminal."""
    path = str(tmp_path / "s")
    bundle.config["process"]["terminal"] = True
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        words = ["create", "--console-socket", path, "-b", str(bundle.write().path)]
        done = runtime(*words, runtime.new_id(), check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("planted", ["link", "file", "node", "slave"])
def test_a_master_that_is_none(runtime, bundle, tmp_path, planted):
    """CVE-2025-52565: /dev/pts/ptmx has to be the master of a devpts, and neither a device of that
    number elsewhere nor a terminal of the host, which a mount can put in its place."""
    pts = tmp_path / "pts"
    pts.mkdir()
    place = pts / "ptmx"
    if planted == "link":
        place.symlink_to("/dev/null")
    elif planted == "file":
        place.write_text("x")
    else:
        os.mknod(place, 0o666 | 0o020000, os.makedev(5, 2))
    master, slave = os.openpty()
    if planted == "slave":
        bind(bundle, "/dev/pts/ptmx", os.ttyname(slave), "bind")
    else:
        bind(bundle, "/dev/pts", pts)
    assert "/dev/pts/ptmx is not that of a devpts" in no_console(runtime, bundle, tmp_path)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("planted", ["link", "file", "changing"])
def test_a_devpts_of_the_image(runtime, bundle, canary, tmp_path, planted):
    """CVE-2025-52565: /dev/pts that is no devpts gives no terminal."""
    dev = tmp_path / "dev"
    (dev / "pts").mkdir(parents=True)
    no_dev(bundle)
    bind(bundle, "/dev", dev, "rbind", "rw")
    for number in range(10):
        place = dev / "pts" / str(number)
        if planted == "file":
            place.write_text("x")
        else:
            place.symlink_to(canary / "ptmx")
    (dev / "pts" / "ptmx").symlink_to("/dev/ptmx")
    bundle.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    before = snapshot(canary)
    no_console(runtime, bundle, tmp_path)
    assert snapshot(canary) == before
