# SPDX-License-Identifier: Apache-2.0
"""Tests that need the guest: a machine of their own, with systemd, cgroup v2 and engines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.guest.engines import IMAGE, busybox_tree, command
from tests.lib import support

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.guest)
            if not support.GUEST:
                item.add_marker(pytest.mark.skip("runs in the guest: make test-guest"))


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    """dockerd with an image; its command line as a function."""
    command("systemctl", "start", "docker.service")
    tree = busybox_tree(tmp_path_factory.mktemp("image") / "rootfs")
    packed = subprocess.run(["tar", "-c", "-C", tree, "."], check=True, capture_output=True).stdout
    subprocess.run(["docker", "import", "-", IMAGE], input=packed, check=True, capture_output=True)
    yield lambda *words: command("docker", *words)
    subprocess.run(["systemctl", "stop", "docker.service", "docker.socket"], check=True)
    # Its route is of no use any more, and pasta of an ordinary user's podman fails on it.
    subprocess.run(["ip", "link", "del", "docker0"], check=True)


@pytest.fixture(scope="session")
def podman(tmp_path_factory):
    """podman with an image; its command line as a function."""
    tree = busybox_tree(tmp_path_factory.mktemp("image") / "rootfs")
    packed = tree.parent / "image.tar"
    subprocess.run(["tar", "-c", "-f", packed, "-C", tree, "."], check=True)
    command("podman", "import", "--quiet", str(packed), f"localhost/{IMAGE}")
    return lambda *words: command("podman", *words)
