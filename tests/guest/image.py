# SPDX-License-Identifier: Apache-2.0
"""The guest's image: made once for each recipe, and kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECIPE = ("recipe.sh", "packages", "early-init", "overlay")
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
ROOM = 6 << 30  # bytes that building takes, with what is kept
KEPT = 2  # images of this many recipes


class Impossible(Exception):
    """There can be no guest, and why."""


def obstacle() -> str:
    """Why the guest cannot be built or booted here, or ""."""
    if os.uname().machine != "x86_64":
        return f"the guest is an x86-64 machine, this is {os.uname().machine}"
    if os.geteuid() != 0:
        return "building the guest needs root"
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if missing:
        return f"missing packages: {' '.join(missing)}"
    if not (directory() / "complete").exists():
        place = next(path for path in (cache(), *cache().parents) if path.exists())
        if (free := shutil.disk_usage(place).free) < ROOM:
            return f"{place} has {free >> 20} MiB free, an image takes up to {ROOM >> 20}"
    return ""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pyrunc-guest"


def files(names: tuple[str, ...], top: Path) -> Iterator[Path]:
    for name in names:
        path = top / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def hashed(names: tuple[str, ...], top: Path, salt: str = "") -> str:
    """A short hash of files below `top`: their names, modes and contents."""
    made = hashlib.sha256(salt.encode())
    for file in files(names, top):
        data = file.read_bytes()
        head = f"{file.relative_to(top)} {file.stat().st_mode & 0o111:o} {len(data)}\n"
        made.update(head.encode() + data)
    return made.hexdigest()[:16]


def directory() -> Path:
    return cache() / hashed(RECIPE, HERE)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One at a time; the lock goes with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ready() -> Path:
    """The directory with tree, image, kernel and initrd; made if this recipe has none yet."""
    if reason := obstacle():
        raise Impossible(reason)
    place = directory()
    if not (place / "complete").exists():
        with alone(cache() / "lock"):
            if not (place / "complete").exists():
                build(place)
    os.utime(place / "complete")
    return place


def build(place: Path) -> None:
    start = time.monotonic()
    print(f"guest: building the image in {place}, some two minutes", file=sys.stderr)
    forget(KEPT - 1)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with (place / "log").open("wb") as log:
        done = subprocess.run(
            [HERE / "recipe.sh", place], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            check=False,
        )  # fmt: skip
    if done.returncode != 0:
        tail = (place / "log").read_text(errors="replace")[-2000:]
        raise Impossible(f"the image could not be built; {place}/log ends with:\n{tail}")
    (place / "complete").touch()
    print(f"guest: built in {time.monotonic() - start:.0f} s", file=sys.stderr)


def forget(keep: int) -> None:
    """Remove the images that were used longest ago, and what a build left that failed."""
    used = {}
    for path in cache().iterdir():
        if path.is_dir():
            mark = path / "complete"
            used[path] = mark.stat().st_mtime if mark.exists() else 0.0
    for path in sorted(used, key=used.__getitem__, reverse=True)[keep:]:
        shutil.rmtree(path)
