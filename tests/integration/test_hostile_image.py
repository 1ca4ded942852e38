# SPDX-License-Identifier: Apache-2.0
"""Images that try to reach the host while their container is made."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.lib import support


def snapshot(directory):
    return sorted(
        (entry.name, entry.stat(follow_symlinks=False).st_mode, entry.inode())
        for entry in os.scandir(directory)
    )


@pytest.fixture
def canary(tmp_path):
    """A directory of the host that nothing may touch."""
    path = tmp_path / "canary"
    path.mkdir()
    (path / "ptmx").write_text("mine")
    (path / "null").write_text("mine")
    return path


@pytest.mark.parametrize("form", ["absolute", "relative", "climbing"])
def test_dev_that_is_a_link(runtime, bundle, canary, form):
    """CVE-2026-41579, CVE-2026-47766: nodes and links must not land outside."""
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")
    ]
    target = {
        "absolute": str(canary),
        "relative": f"../{canary.name}",
        "climbing": "../" * 12 + str(canary).lstrip("/"),
    }[form]
    (bundle.rootfs / "dev").symlink_to(target)
    before = snapshot(canary)
    done = runtime.run(bundle.write())
    assert "Traceback" not in done.stderr
    assert snapshot(canary) == before
    assert (canary / "ptmx").read_text() == "mine"


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, subprocess.PIPE], ids=["null", "pipe"])
@pytest.mark.parametrize("null", ["link", "file", "fifo", "missing", "zero"])
def test_masks_need_the_null_device(runtime, bundle, canary, tmp_path, null, stdin):
    """CVE-2025-31133: whatever stands at /dev/null must not show through a mask.

    With the null device as stdin its place in the container is verified for that already; with
    a pipe the mask has to do it.
    """
    dev = tmp_path / "dev"
    dev.mkdir()
    place = dev / "null"
    if null == "link":
        place.symlink_to("/proc/sys/kernel/core_pattern")
    elif null == "file":
        place.write_text("through")
    elif null == "fifo":
        os.mkfifo(place)
    elif null == "zero":
        os.mknod(place, 0o666 | 0o020000, os.makedev(1, 5))
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")
    ]
    bundle.config["mounts"].append(
        {"destination": "/dev", "source": str(dev), "options": ["rbind", "rw"]}
    )
    (bundle.rootfs / "secret").write_text("secret")
    bundle.config["linux"]["maskedPaths"] = ["/secret"]
    # Not more: through a broken mask this may be endless.
    done = runtime.run(bundle.shell("head -c 9 /secret; echo ran"), stdin=stdin)
    assert done.returncode == 1
    assert "null device" in done.stderr
    if stdin == subprocess.PIPE:
        assert "/linux/maskedPaths/0" in done.stderr
    assert "ran" not in done.stdout
    assert "secret" not in done.stdout


def test_masks_hold(runtime, bundle):
    (bundle.rootfs / "secret").write_text("secret")
    (bundle.rootfs / "closed").mkdir()
    (bundle.rootfs / "closed" / "in").write_text("secret")
    (bundle.rootfs / "way").symlink_to("/secret")
    bundle.config["root"]["readonly"] = False
    bundle.config["linux"]["maskedPaths"] = ["/secret", "/closed", "/closed", "/nosuch", "/way"]
    done = runtime.run(
        bundle.shell("cat /secret /way; ls /closed; touch /closed/x 2>&1; echo over > /secret")
    )
    assert "secret" not in done.stdout.replace("/closed", "")
    assert "Read-only file system" in done.stdout
    assert (bundle.rootfs / "secret").read_text() == "secret"


@pytest.mark.parametrize(
    "destination", ["/proc/sys", "/proc/self", "/proc", "/way/kernel", "/proc/1/attr"]
)
def test_nothing_is_mounted_into_proc(runtime, bundle, canary, destination):
    """CVE-2015-3630, CVE-2019-16884."""
    (bundle.rootfs / "way").symlink_to("/proc/sys")
    bundle.config["mounts"].append(
        {"destination": destination, "source": str(canary), "options": ["rbind"]}
    )
    done = runtime.run(bundle.shell("echo ran"))
    assert done.returncode == 1
    assert "/proc" in done.stderr
    assert "ran" not in done.stdout


def test_mount_points_behind_links_stay_inside(runtime, bundle, canary):
    """CVE-2021-30465, CVE-2024-45310: made in the image, never where the link points outside."""
    (bundle.rootfs / "out").symlink_to(str(canary))
    (bundle.rootfs / "up").symlink_to("../" * 12 + str(canary).lstrip("/"))
    for name in ("out", "up"):
        bundle.config["mounts"].append(
            {"destination": f"/{name}/new", "type": "tmpfs", "source": "tmpfs"}
        )
    before = snapshot(canary)
    done = runtime.run(bundle.shell("grep -c '/new tmpfs' /proc/mounts"))
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert snapshot(canary) == before


def test_program_and_environment_of_the_caller_stay_out(runtime, bundle):
    bundle.config["process"]["env"] = ["PATH=/bin"]
    done = runtime.run(bundle.args("env"), env={"LD_PRELOAD": "/evil.so", "SECRET": "1"})
    assert sorted(done.stdout.split()) == ["HOME=/", "PATH=/bin"]
    bundle.config["process"]["env"] = ["SECRET"]
    done = runtime.run(bundle.write())
    assert (done.returncode, "/process/env/0" in done.stderr) == (1, True)


def test_a_device_that_is_a_link_to_the_hosts(runtime, bundle):
    """CVE-2026-41579: before the pivot an absolute link would lead to the host's own node."""
    (bundle.rootfs / "dev").mkdir()
    (bundle.rootfs / "dev" / "zero").symlink_to("/dev/zero")
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")
    ]
    assert "there is a file that is not this device" in support.refused(runtime, bundle)
