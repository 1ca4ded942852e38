# SPDX-License-Identifier: Apache-2.0
"""The project as the guest gets it: sources, and what the guest's compiler and Python make of them.

Building under emulation takes ten times as long. So it is done here, in the guest's tree, in a
mount namespace where a copy of the sources lies at the path that it will have in the guest, which
compiled Python names. The command is the host's executable.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.guest import image
from tests.lib import executable

TOP = image.HERE.parent.parent
WORK = TOP / "build" / "guest"
COPY = WORK / "pyrunc"
COMPILED = ("csrc", "setup.py", "pyproject.toml")
IN_TREE = """
set -eu
cd "$1"
mount --bind "$2" pyrunc
mount -t proc proc proc
mount -t tmpfs tmpfs tmp
for node in null zero urandom; do
    [ -e dev/$node ] || : >dev/$node
    mount --bind /dev/$node dev/$node
done
exec chroot . sh -euc "cd /pyrunc; $3"
"""
NATIVE = """
rm -rf build
python3 setup.py -q build_ext --inplace
python3 setup.py -q build_native
"""
# A file that does not compile is for the tests to tell.
BYTECODE = """
python3 -m compileall -qq pyrunc tests || :
"""


def in_tree(tree: Path, commands: str) -> None:
    """Run commands of the guest's system at native speed, in /pyrunc; its mounts go with them."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_TREE, "sh"]
    done = subprocess.run(
        [*command, tree, COPY, commands],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if done.returncode != 0:
        raise image.Impossible(f"building pyrunc failed\n{done.stdout}{done.stderr}")


def sources() -> list[str]:
    """What git knows or would add: neither the host's builds nor its caches."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [name for name in listed.split("\0") if name and (TOP / name).is_file()]


def synchronise(before: list[str]) -> list[str]:
    """Copy what has changed; remove what is gone."""
    names = sources()
    for name in set(before) - set(names):
        (COPY / name).unlink(missing_ok=True)
    for name in names:
        source, target = TOP / name, COPY / name
        found = source.stat()
        if target.exists():
            copied = target.stat()
            same = ("st_size", "st_mtime_ns", "st_mode")
            if all(getattr(found, field) == getattr(copied, field) for field in same):
                continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    return names


def packed(place: Path) -> bytes:
    """A tar of the project, built for the image in `place`.

    Raises:
        Impossible: there is no executable of these sources.
    """
    if executable.what_is_newer():
        raise image.Impossible("there is no dist/pyrunc of these sources: make static")
    with image.alone(WORK / "lock"):
        notes = WORK / "notes.json"
        known = {"names": [], "key": ""}
        if notes.exists():
            known = json.loads(notes.read_text())
        else:  # a build that failed; who knows what it left
            shutil.rmtree(COPY, ignore_errors=True)
        COPY.mkdir(exist_ok=True)
        names = synchronise(known["names"])
        key = image.hashed(COMPILED, COPY, salt=place.name)
        if known["key"] != key:
            notes.unlink(missing_ok=True)
            in_tree(place / "tree", NATIVE)
        notes.write_text(json.dumps({"names": names, "key": key}))
        in_tree(place / "tree", BYTECODE)
        (COPY / "dist").mkdir(exist_ok=True)
        shutil.copy2(executable.PATH, COPY / "dist")
        options = ["--sort=name", "--owner=0", "--group=0", "--exclude=./build/temp*"]
        command = ["tar", "-c", *options, "-C", COPY, "."]
        return subprocess.run(command, check=True, capture_output=True).stdout
