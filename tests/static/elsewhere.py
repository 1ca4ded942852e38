# SPDX-License-Identifier: Apache-2.0
"""The executable in another root: nothing but busybox, or some Debian's tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lib import support

MOUNTED = ("proc", "sys", "dev", "run", "tmp")
# In a mount namespace of its own, so that nothing of it is seen outside; the tree itself is not
# written to.
ENTER = """
set -eu
tree=$1 command=$2 bundle=$3 unified=$4 script=$5
mount --bind -o ro "$tree" "$tree"
mount -t tmpfs none "$tree/run"
mount -t tmpfs none "$tree/tmp"
mkdir -p "$tree/run/bin" "$tree/run/b" "$tree/run/old" "$tree/run/systemd/system"
cp "$command" "$tree/run/bin/pyrunc"
mount --bind "$bundle" "$tree/run/b"
mount -t proc proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
[ -z "$unified" ] || mount --bind "$unified" "$tree/sys/fs/cgroup"
cd "$tree"
pivot_root . run/old
exec /run/old/"$6" sh -c "/run/old/$6 umount -l /run/old; $script"
"""


def busybox(place: Path) -> Path:
    """A tree that has nothing but busybox, under its applets' names that scripts here use."""
    tree = place / "tree"
    for name in (*MOUNTED, "bin"):
        (tree / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), tree / "bin" / "busybox")
    for applet in ("sh", "cat", "sleep"):
        (tree / "bin" / applet).symlink_to("busybox")
    return tree


def inside(tree: Path, command: Path, bundle: support.Bundle, script: str):
    """Run a shell's script in a tree: the executable is `pyrunc` there, the bundle /run/b.

    It has cgroup v2 alone, as systemd's driver wants it.
    """
    bundle.write()
    unified = "" if support.V2 else "/sys/fs/cgroup/unified"
    return subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", ENTER, "sh",
         str(tree), str(command), str(bundle.path), unified, script, str(shutil.which("busybox"))],
        capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        env={"PATH": "/run/bin:/bin:/sbin:/usr/bin:/usr/sbin"},
    )  # fmt: skip


def trees() -> dict[str, Path]:
    """Debian's trees that are there: the test guest's, and those that PYRUNC_TEST_TREES names."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyrunc-guest"
    named = os.environ.get("PYRUNC_TEST_TREES", "").split(":")
    paths = [
        *[mark.parent / "tree" for mark in sorted(cache.glob("*/complete"))[-1:]],
        *filter(None, named),
    ]
    found = {}
    for path in map(Path, paths):
        release = (path / "etc/os-release").read_text()
        name = release.partition('PRETTY_NAME="')[2].partition('"')[0]
        found[name or str(path)] = path
    return found
