# SPDX-License-Identifier: Apache-2.0
"""What a failing step inside says: the place, the call, and what is missing."""

from __future__ import annotations

import pytest

from tests.lib.support import refused


@pytest.mark.parametrize("directory", [True, False])
def test_a_bind_of_another_type(runtime, runc, bundle, tmp_path, directory):
    """Docker's hint to its user depends on "not a directory"."""
    source = tmp_path / "a-source"
    target = bundle.rootfs / "target"
    (source if directory else target).mkdir()
    (target if directory else source).touch()
    bundle.config["mounts"].append(
        {"destination": "/target", "type": "bind", "source": str(source), "options": ["bind"]}
    )
    for one in (runc, runtime):
        text = refused(one, bundle)
        assert "not a directory" in text
        assert "error mounting" in text
        assert str(source) in text
        assert 'at \\"/target\\"' in text


def test_a_bind_without_the_option(runtime, bundle):
    bundle.config["mounts"].append({"destination": "/m", "type": "bind", "source": "/etc"})
    text = refused(runtime, bundle)
    assert 'add \\"bind\\" or \\"rbind\\" to its options' in text


def test_the_mount_point_of_a_masked_path(runtime, bundle):
    """Looked up from the procfs itself; what is said is where it is for the container."""
    bundle.config["linux"]["maskedPaths"] = ["/proc/self/exe/nothing", "/proc/self/root/x"]
    text = refused(runtime, bundle)
    assert "mask /proc/self/" in text or 'mask \\"/proc/self/' in text
    bundle.config["linux"]["maskedPaths"] = []
    bundle.config["linux"]["readonlyPaths"] = ["/proc/self/root/x"]
    assert "make read-only /proc/self/root/x" in refused(runtime, bundle)


def test_a_directory_that_cannot_be_made(runtime, bundle, tmp_path):
    """The call that failed, not the look-up before it."""
    here = tmp_path / "here"
    here.mkdir()
    bundle.config["mounts"] += [
        {"destination": "/ro", "type": "bind", "source": str(here), "options": ["bind", "ro"]},
        {"destination": "/ro/new", "type": "tmpfs"},
    ]
    text = refused(runtime, bundle)
    assert "mount on /ro/new: mkdir: read-only file system [/mounts/" in text


@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_the_containers_root_is_not_mapped(runtime, bundle, kind):
    whole = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    without = [{"containerID": 1, "hostID": 100001, "size": 65535}]
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"] |= {"uidMappings": whole, "gidMappings": whole}
    bundle.config["linux"][f"{kind}Mappings"] = without
    text = refused(runtime, bundle)
    assert f"{kind} 0 of the container is not mapped [/linux/{kind}Mappings]" in text
