# SPDX-License-Identifier: Apache-2.0
"""Roots without pivot_root(2)."""

from __future__ import annotations

from pathlib import Path

import pytest

MOUNTS = Path("/proc/self/mountinfo")


def said(runtime, bundle, *options: str) -> str:
    done = runtime("run", *options, "-b", str(bundle.path), runtime.new_id(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_pivot(runtime, bundle):
    """The container sees its own tree and none of the host's kernel filesystems."""
    bundle.shell("ls /; cat /proc/self/mountinfo; echo pid $$; ls /proc | grep -c '^[0-9]'")
    text = said(runtime, bundle, "--no-pivot")
    lines = text.splitlines()
    assert "etc" not in lines[: lines.index("sys")]
    assert {"bin", "dev", "proc"} <= set(lines)
    assert "pid 1" in lines
    mounts = [line.split() for line in lines if " - " in line]
    assert any(fields[4] == "/" for fields in mounts)
    # One procfs, the container's, though the host's tree is still below.
    places = [fields[4] for fields in mounts if fields[fields.index("-") + 1] == "proc"]
    assert all(place.startswith("/proc") for place in places)
    assert int(lines[-1]) <= 5


def test_no_pivot_leaves_the_host_alone(runtime, bundle):
    before = MOUNTS.read_text()
    bundle.args("/bin/true")
    said(runtime, bundle, "--no-pivot")
    assert MOUNTS.read_text() == before


@pytest.fixture
def bare(bundle):
    """A bundle without a mount namespace, and without what would need one."""
    linux = bundle.config["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "mount"]
    linux.pop("maskedPaths", None)
    linux.pop("readonlyPaths", None)
    bundle.config["mounts"] = []
    bundle.config["root"]["readonly"] = False
    return bundle


def test_without_a_mount_namespace(runtime, bare):
    bare.shell("ls /; pwd; echo x > /dev/null; echo pid $$")
    lines = said(runtime, bare).splitlines()
    assert set(lines) == {"bin", "dev", "/", "pid 1"}


def test_without_a_mount_namespace_the_hosts_mounts_stay(runtime, bare):
    before = MOUNTS.read_text()
    bare.args("/bin/true")
    said(runtime, bare)
    assert MOUNTS.read_text() == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda c: c["mounts"].append({"destination": "/p", "type": "proc"}), "/mounts"),
        (lambda c: c["root"].update(readonly=True), "/root/readonly"),
        (lambda c: c["linux"].update(maskedPaths=["/x"]), "/linux/maskedPaths"),
        (lambda c: c["linux"].update(rootfsPropagation="slave"), "/linux/rootfsPropagation"),
    ],
)
def test_what_needs_a_mount_namespace(runtime, bare, change, pointer):
    change(bare.config)
    done = runtime.run(bare.write())
    assert done.returncode == 1
    assert "there is no mount namespace" in done.stderr
    assert pointer in done.stderr
