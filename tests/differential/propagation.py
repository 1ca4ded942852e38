# SPDX-License-Identifier: Apache-2.0
"""Where mounts travel between a host and a container: run as a program, it says so as JSON.

To be run in a mount namespace of its own, in which it shares mounts: what a runtime lets out
stays in there. For each combination of mount options there is a bind mount of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROPAGATIONS = (
    "", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable",
)  # fmt: skip
# Where a source is: a mount of its own, a directory of the mount that the root filesystem is on.
PLACES = ("own", "root")
BINDS = ("bind", "rbind")
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SECONDS = 30
# For each directory: was the host's later mount seen here, and below? Then a mount of our own.
LOOK = """
for d in /b/*; do
  [ -e $d/out/mark ] && echo "$d out"
  [ -e $d/sub/out/mark ] && echo "$d sub/out"
  mount -t tmpfs in $d/in && : > $d/in/mark
  [ -d $d/sub/in ] && mount -t tmpfs in $d/sub/in && : > $d/sub/in/mark
done > /seen
mount -t tmpfs in /root-in && : > /root-in/mark
[ -e /root-out/mark ] && echo "/ root-out" >> /seen
cat /proc/self/mountinfo > /mountinfo
: > /ready
cat /hold
"""


def cells() -> list[tuple[str, str, str]]:
    """One bind mount each: (place, kind, propagation)."""
    return [(place, bind, option) for place in PLACES for bind in BINDS for option in PROPAGATIONS]


def name(cell: tuple[str, str, str]) -> str:
    return "-".join(part or "none" for part in cell)


def mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


def tmpfs(path: Path, propagation: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "t", str(path))
    mount(f"--make-{propagation}", str(path))


def marked(path: Path) -> None:
    """A mount on the host that is made later; it has a file to be seen by."""
    path.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "out", str(path))
    (path / "mark").touch()


def lay_out(top: Path, host: str, mapped: bool) -> None:
    """The host: a mount with the root filesystem, and sources, all of one propagation."""
    tmpfs(top, host)
    top.chmod(0o755)
    for cell in cells():
        source = top / "src" / name(cell)
        source.mkdir(parents=True)
        if cell[0] == "own":
            tmpfs(source, host)
        for directory in ("in", "out"):
            (source / directory).mkdir()
        if mapped and cell[1] == "bind":
            # Who is not the owner of a mount namespace may not show what a mount in it covers.
            (source / "sub").mkdir()
        else:
            tmpfs(source / "sub", host)
        for directory in ("in", "out"):
            (source / "sub" / directory).mkdir()


def document(template: dict[str, Any], top: Path, propagation: str, mapped: bool) -> dict[str, Any]:
    config = json.loads(json.dumps(template))
    config["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", LOOK]}
    config["root"] = {"path": "rootfs"}
    capabilities = config["process"]["capabilities"]
    for kind in ("bounding", "effective", "permitted"):
        capabilities[kind] = [*capabilities[kind], "CAP_SYS_ADMIN"]
    config["linux"].pop("rootfsPropagation", None)
    if propagation:
        config["linux"]["rootfsPropagation"] = propagation
    config["linux"]["resources"] = {}
    kinds = ["pid", "mount", "ipc", "uts", "network", *(["user"] if mapped else [])]
    config["linux"]["namespaces"] = [{"type": kind} for kind in kinds]
    if mapped:
        config["linux"] |= {"uidMappings": IDS, "gidMappings": IDS}
    config["mounts"] = [
        m for m in config["mounts"] if m["destination"] in ("/proc", "/dev", "/dev/pts")
    ]
    for cell in cells():
        _, bind, option = cell
        config["mounts"].append(
            {
                "destination": f"/b/{name(cell)}",
                "type": "none",
                "source": str(top / "src" / name(cell)),
                "options": [bind, *([option] if option else [])],
            }
        )
    return config


def mountinfo(path: str = "/proc/self/mountinfo") -> list[tuple[str, str]]:
    """(mount point, what it shares: "shared", "master", both or neither) of each."""
    found = []
    for line in Path(path).read_text().splitlines():
        fields = line.split()
        tags = [tag.split(":")[0] for tag in fields[6 : fields.index("-")]]
        found.append((fields[4], " ".join(sorted(tags))))
    return found


def until(ready: Path, error: Path, slow: float) -> None:
    deadline = time.monotonic() + SECONDS * slow
    while not ready.exists():
        if time.monotonic() > deadline:
            raise SystemExit("the container did not get there: " + error.read_text())
        time.sleep(0.01)


def observe(
    command: list[str], template: dict[str, Any], top: Path, busybox: str, case: dict[str, Any]
) -> dict[str, Any]:
    """One container's life; what was seen from both sides, or how it was refused."""
    lay_out(top, case["host"], case["mapped"])
    root = top / "bundle" / "rootfs"
    for directory in ("bin", "b", "root-in", "root-out"):
        (root / directory).mkdir(parents=True)
    root.chmod(0o777)
    for applet in ("sh", "mount", "cat"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "bin" / "busybox").write_bytes(Path(busybox).read_bytes())
    (root / "bin" / "busybox").chmod(0o755)
    os.mkfifo(root / "hold")
    (root / "hold").chmod(0o666)
    if case["mapped"]:
        for path in (root, root / "b"):
            os.chown(path, IDS[0]["hostID"], IDS[0]["hostID"])
    config = document(template, top, case["root"], case["mapped"])
    (top / "bundle" / "config.json").write_text(json.dumps(config))
    before = mountinfo()
    error = top / "error"
    with open(os.devnull, "r+b") as null, error.open("wb") as stderr:
        done = subprocess.run(
            [*command, "create", "-b", str(top / "bundle"), case["id"]],
            stdin=null, stdout=null, stderr=stderr, check=False,
        )  # fmt: skip
    refused = {"refused": error.read_text(), "left": sorted(set(mountinfo()) ^ set(before))}
    if done.returncode != 0:
        return refused
    created = sorted(set(mountinfo()) ^ set(before))
    for cell in cells():
        source = top / "src" / name(cell)
        marked(source / "out")
        marked(source / "sub" / "out")
    marked(root / "root-out")
    subprocess.run([*command, "start", case["id"]], check=True)
    until(root / "ready", error, case["slow"])
    seen = [line.split() for line in (root / "seen").read_text().splitlines()]
    out = {name(cell): [] for cell in cells()} | {"/": []}
    for place, what in seen:
        out[place.removeprefix("/b/")].append(what)
    for cell in cells():
        source = top / "src" / name(cell)
        found = [where for where in ("in", "sub/in") if (source / where / "mark").exists()]
        out[name(cell)] += found
    if (root / "root-in" / "mark").exists():
        out["/"].append("root-in")
    tags = {
        place.removeprefix("/b/"): kinds
        for place, kinds in mountinfo(str(root / "mountinfo"))
        if place == "/" or place.startswith("/b/")
    }
    with open(root / "hold", "wb"):
        pass
    subprocess.run([*command, "delete", "--force", case["id"]], check=True)
    for cell in cells():
        source = top / "src" / name(cell)
        for where in ("sub/out", "out"):
            subprocess.run(["umount", str(source / where)], check=True)
    subprocess.run(["umount", str(root / "root-out")], check=True)
    # What a container's mount left on the host is there by its own wish; the rest is a leak.
    expected = {str(top / "src" / name(c) / where) for c in cells() for where in ("in", "sub/in")}
    left = [row for row in set(mountinfo()) ^ set(before) if row[0] not in expected]
    return {"seen": out, "tags": tags, "created": created, "left": sorted(left)}


def main() -> None:
    request = json.load(sys.stdin)
    top = Path(request["top"])
    top.chmod(0o755)
    found = []
    for case in request["cases"]:
        place = top / case["id"]
        try:
            seen = observe(request["command"], request["template"], place, request["busybox"], case)
        finally:
            subprocess.run(
                [*request["command"], "delete", "--force", case["id"]],
                check=False, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        found.append(seen)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
