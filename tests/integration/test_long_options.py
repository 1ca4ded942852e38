# SPDX-License-Identifier: Apache-2.0
"""Values that fsconfig(2) does not take: BuildKit and rootless image volumes have such layers."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.lib.support import refused, said


def layers(top, count: int, length: int) -> list[str]:
    """Directories with a file each, whose paths have that length."""
    made = []
    for number in range(count):
        path = top / f"{number:0{length - len(str(top)) - 1}}"
        path.mkdir()
        path.chmod(0o755)
        (path / f"f{number}").write_text("x")
        made.append(str(path))
    return made


@pytest.fixture
def top(tmp_path):
    """Within the reach of whoever runs in a user namespace, and not on an overlay."""
    path = tmp_path / "layers"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "layers", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def overlay(bundle, *options: str, **fields) -> None:
    bundle.config["mounts"].append(
        {"destination": "/m", "type": "overlay", "source": "overlay", "options": list(options)}
        | fields
    )


NAMES = "ls /m | wc -l"


@pytest.mark.parametrize(("count", "length"), [(5, 100), (40, 110), (2, 250)])
def test_layers(runtime, bundle, top, count, length):
    overlay(bundle, "ro", "lowerdir=" + ":".join(layers(top, count, length)))
    text = said(
        runtime, bundle, NAMES + "; grep ' /m ' /proc/self/mountinfo; touch /m/x 2>&1; true"
    )
    assert text.startswith(f"{count}\n")
    assert " /m ro" in text
    assert "Read-only" in text


def test_as_with_runc(runc, runtime, bundle, top):
    lower = layers(top, 5, 100)
    directories = [top / "u" / ("u" * 150), top / "w" / ("w" * 150)]
    for directory in directories:
        directory.mkdir(parents=True)
    overlay(
        bundle, "nodev", "noatime", "lowerdir=" + ":".join(lower),
        f"upperdir={directories[0]}", f"workdir={directories[1]}",
    )  # fmt: skip
    script = NAMES + "; echo y > /m/f0; cat /m/f0; grep -o ' /m [^ ]* ' /proc/self/mountinfo"
    texts = [said(one, bundle, script) for one in (runc, runtime)]
    assert texts[0] == texts[1]
    assert (directories[0] / "f0").read_text() == "y\n"


@pytest.mark.parametrize("length", [255, 256, 300, 1000])
def test_the_other_long_values(runtime, bundle, top, length):
    """No layers, so by mount(2): on the place that was checked, and gone from there again."""
    upper = top
    while len(str(upper)) < length - 200:
        upper = upper / ("d" * 150)
    upper = upper / ("u" * (length - len(str(upper)) - 1))
    upper.mkdir(parents=True)
    (top / "work").mkdir()
    lower = layers(top, 1, 120)
    options = [f"lowerdir={lower[0]}", f"upperdir={upper}", f"workdir={top}/work"]
    overlay(bundle, "nosuid", *options)
    text = said(runtime, bundle, NAMES + "; touch /m/new; grep -c ' /m ' /proc/self/mountinfo")
    assert text == "1\n1\n"
    assert (upper / "new").exists()
    assert not any("/m" in line for line in os.listdir(bundle.rootfs / "m"))


@pytest.mark.parametrize("length", [255, 256, 4000])
def test_a_long_source(runtime, bundle, length):
    bundle.config["mounts"].append(
        {"destination": "/m", "type": "tmpfs", "source": "s" * length, "options": ["size=64k"]}
    )
    text = said(runtime, bundle, "grep ' /m ' /proc/self/mountinfo")
    assert f" {'s' * length} " in text
    assert "size=64k" in text


def test_more_than_a_page(runtime, bundle, top):
    """The kernel would cut it off without a word."""
    upper = "/".join([str(top), *["u" * 200] * 19])
    lower = layers(top, 5, 100)
    overlay(bundle, "lowerdir=" + ":".join(lower), f"upperdir={upper}", "workdir=/w")
    text = refused(runtime, bundle)
    assert "the options of one mount can be 4095 bytes long together" in text


def test_a_place_that_an_image_has_prepared(runtime, bundle, top):
    """Below /proc nothing is mounted, by no way."""
    shutil.rmtree(bundle.rootfs / "m", ignore_errors=True)
    (bundle.rootfs / "m").symlink_to("/proc/self")
    overlay(bundle, f"lowerdir={top}", f"upperdir=/{'u' * 100}/{'u' * 200}", "workdir=/w")
    assert "inside /proc" in refused(runtime, bundle)


def test_in_a_user_namespace(runtime, bundle, top):
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"] |= {"uidMappings": maps, "gidMappings": maps}
    for path in (bundle.rootfs, *bundle.rootfs.parents[:4]):
        path.chmod(0o755)
    os.chown(bundle.rootfs, 100000, 100000)
    overlay(bundle, "ro", "lowerdir=" + ":".join(layers(top, 5, 100)))
    assert said(runtime, bundle, NAMES) == "5\n"


@pytest.mark.parametrize("length", [5, 70, 300])
@pytest.mark.parametrize(("options", "mode"), [([], "drwx------"), (["mode=750"], "drwxr-x---")])
def test_a_tmpfs_keeps_the_mode_of_what_it_covers(runtime, bundle, length, options, mode):
    """However long its source is: a private directory must not become everybody's."""
    (bundle.rootfs / "private").mkdir(mode=0o700)
    tmpfs = {"destination": "/private", "type": "tmpfs", "source": "s" * length}
    bundle.config["mounts"].append(tmpfs | {"options": options})
    assert said(runtime, bundle, "ls -ld /private").startswith(mode)
