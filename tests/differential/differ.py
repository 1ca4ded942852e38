# SPDX-License-Identifier: Apache-2.0
"""Runs one bundle under runc, crun and pyrunc, and finds where they differ.

Normalised: container ids, mount ids (a mount is named by its mount point), the order of mounts
side by side (the kernel sorts them by id), device numbers of anonymous file systems and peer
groups (named by their first mount point), namespace inodes ("host", "joined" or "new"). Nothing
else.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.lib import support

HERE = Path(__file__).resolve().parent
CACHE = Path(tempfile.gettempdir()) / f"pyrunc-differential-{os.getuid()}"
# A disk: /tmp may be a tmpfs, whose nosuid and nodev runc drops when it makes the root read-only.
PLACE = "/var/tmp"
PROGRAMS = {"runc": "runc", "pyrunc": support.PYRUNC}
CRUN = {"crun": "crun"}
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
}
SLEEP = ("/bin/probe", "sleep")


def build_probe() -> Path:
    """The static probe, compiled when its source is newer."""
    CACHE.mkdir(mode=0o755, exist_ok=True)
    assert CACHE.stat().st_uid == os.getuid()
    source, made = HERE / "probe.c", CACHE / "probe"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        with tempfile.TemporaryDirectory(dir=CACHE) as place:
            command = ["cc", "-static", "-O1", "-Wall", "-Werror", "-o", f"{place}/probe"]
            subprocess.run([*command, str(source)], check=True, timeout=120)
            os.replace(f"{place}/probe", made)
    return made


class Box(support.Bundle):
    """A bundle that a case changes: pristine before each run, at the same path."""

    def __init__(self, pair: Pair, probe: Path) -> None:
        super().__init__(pair.path / "bundle", pair.template)
        self.pair = pair
        shutil.copy(probe, self.rootfs / "bin/probe")
        self.process: dict[str, Any] = self.config["process"]
        self.linux: dict[str, Any] = self.config["linux"]
        self.probe()

    def probe(self, *wishes: str) -> None:
        self.process["args"] = ["/bin/probe", *wishes]

    def mount(self, destination: str, kind: str, source: str, *options: str) -> None:
        made = {"destination": destination, "type": kind, "source": source}
        self.config["mounts"].append(made | ({"options": list(options)} if options else {}))

    def unmount(self, destination: str) -> None:
        self.config["mounts"] = [
            m for m in self.config["mounts"] if m["destination"] != destination
        ]

    def namespace(self, kind: str, path: str = "") -> None:
        self.no_namespace(kind)
        self.linux["namespaces"].append({"type": kind} | ({"path": path} if path else {}))

    def no_namespace(self, kind: str) -> None:
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]

    def join(self, kind: str, name: str, *options: str) -> None:
        """Join a namespace that `unshare` made; the same one in both runs."""
        # Who pivots in a mount namespace uses it up: one for each run.
        once = (str(self.pair.boxes),) if kind == "mount" else ()
        path = f"/proc/{self.pair.holder(options, once)}/ns/{name}"
        self.pair.joined[str(os.stat(path).st_ino)] = name
        self.namespace(kind, path)

    def directory(self, name: str, mode: int = 0o755) -> Path:
        """A directory beside the rootfs, for sources of bind mounts."""
        path = self.path / name
        path.mkdir()
        path.chmod(mode)
        return path

    def file(self, name: str, text: str = "text", mode: int = 0o644) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


class Pair:
    """The runtimes, one path for their bundles, and what the case started."""

    def __init__(
        self, probe: Path, template: dict[str, Any], programs: dict[str, str] = PROGRAMS
    ) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="pyrunc-diff-", dir=PLACE))
        self.path.chmod(0o755)
        self._probe = probe
        self.template = template
        self.boxes = 0
        self.joined: dict[str, str] = {}
        self._holders: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], int]] = {}
        self.runtimes = {
            name: support.Runtime(program, self.path / name) for name, program in programs.items()
        }
        for runtime in self.runtimes.values():
            runtime.root.mkdir()

    def box(self) -> Box:
        """A pristine bundle, on a host as it was."""
        self._no_mounts()
        if support.GUEST:
            support.restore_cgroup_options()
        self.sweep()
        self.boxes += 1
        shutil.rmtree(self.path / "bundle", ignore_errors=True)
        return Box(self, self._probe)

    def cgroups(self) -> list[str]:
        """The cgroup directories that are left below one with this pair's name."""
        return [path for path in support.cgroups_named("") if f"/{self.path.name}" in path]

    def sweep(self) -> None:
        """Remove the parents that a cgroupsPath has made; neither runtime does."""
        for path in sorted(self.cgroups(), reverse=True):
            os.rmdir(path)

    def _no_mounts(self) -> None:
        left = [m for m in Path("/proc/self/mountinfo").read_text().splitlines()
                if f" {self.path}" in m]  # fmt: skip
        assert not left, f"mounts left on the host: {left}"

    def escaped(self, before: set[str]) -> list[str]:
        """Mounts that a container has left on the host, by way of its shared mounts; and they are
        taken away, as they would be in the way of all cases that follow."""
        made = []
        for line in sorted(host_mounts() - before):
            place = line.split(" ")[0]
            made.append(f"host: mount left: {line}")
            subprocess.run(["umount", place], check=True)
        return made

    def holder(self, options: tuple[str, ...], once: tuple[str, ...] = ()) -> int:
        """The pid of a process of ours in new namespaces."""
        key = options + once
        if key not in self._holders:
            forks = "--fork" in options
            started = subprocess.Popen(["unshare", *options, "--", "sleep", "120"])
            deadline = time.monotonic() + 10
            pid = 0
            while not pid:
                assert time.monotonic() < deadline
                time.sleep(0.005)
                if forks:
                    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
                    pid = int((children.read_text().split() or ["0"])[0])
                elif Path(f"/proc/{started.pid}/comm").read_text() == "sleep\n":
                    pid = started.pid
            self._holders[key] = started, pid
            if "--user" in options:
                for name in ("gid_map", "uid_map"):
                    Path(f"/proc/{pid}/{name}").write_text("0 100000 65536\n")
        return self._holders[key][1]

    def close(self) -> None:
        for runtime in self.runtimes.values():
            if any(runtime.root.iterdir()):
                runtime.clean()
        for runtime in self.runtimes.values():
            for name in runtime.ids if runtime.program != support.PYRUNC else ():
                support.remove_cgroups(name)
        for started, _ in self._holders.values():
            started.kill()
            started.wait()
        self._no_mounts()
        shutil.rmtree(self.path)
        self.sweep()
        left = support.cgroups_named(f"-{self.path.name}-")
        assert not left, f"cgroups left behind: {left}"

    def normalise(self, lines: list[str], container_id: str) -> list[str]:
        lines = [_signals(line.replace(container_id, "<id>")) for line in lines]
        return _mounts([_namespace(line, self.joined) for line in lines])


def _signals(line: str) -> str:
    """Without signals 32 and 33, libc's own, and those that are ignored here, as under nohup:
    that is the business of whoever started the tests; runc passes it on, pyrunc resets it
    (test_lifecycle.py)."""
    head, ignored, mask = line.partition("SigIgn:\t")
    if not ignored:
        return line
    return f"{head}{ignored}{int(mask, 16) & ~(3 << 31) & ~_ignored_here():016x}"


def _ignored_here() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("SigIgn:", 1)[1].split(None, 1)[0], 16)


def _namespace(line: str, joined: dict[str, str]) -> str:
    found = re.fullmatch(r"namespace: (\w+) \w+:\[(\d+)\]", line)
    if not found:
        return line
    name, inode = found.groups()
    host = str(os.stat(f"/proc/self/ns/{name}").st_ino)
    which = "host" if inode == host else "joined" if inode in joined else "new"
    return f"namespace: {name} {which}"


def _mounts(lines: list[str]) -> list[str]:
    """Mounts named by mount points, each after the one it is mounted on."""
    names: dict[str, str] = {}  # mount id, device or peer group -> mount point
    mounts = [line.split(" ") for line in lines if line.startswith("mount: ")]
    for field in mounts:
        names.setdefault(field[1], field[5])
        names.setdefault(field[3], field[5])
        for group in re.findall(r"(?:shared|master):(\d+)", " ".join(field)):
            names.setdefault("group" + group, field[5])

    def worded(field: list[str]) -> str:
        rest = re.sub(
            r"(shared|master|propagate_from):(\d+)",
            lambda m: f"{m[1]}:{names.get('group' + m[2], 'outside')}",
            " ".join(field[4:]),
        )
        device = names[field[3]] if field[3].startswith("0:") else field[3]
        return f"mount: {rest} (on {names.get(field[2], 'outside')}, device of {device})"

    def under(parent: str) -> list[str]:
        made = []
        for field in sorted((m for m in mounts if m[2] == parent), key=lambda m: m[5]):
            made += [worded(field), *under(field[1])]
        return made

    known = {field[1] for field in mounts}
    tops = sorted({field[2] for field in mounts} - known)
    ordered = [line for top in tops for line in under(top)]
    assert len(ordered) == len(mounts)
    others = [line for line in lines if not line.startswith("mount: ")]
    return ordered + others


def host_mounts() -> set[str]:
    """The guest's own mounts in its kernel's filesystems; elsewhere others mount as well."""
    if not support.GUEST:
        return set()
    lines = [line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    # systemd mounts binfmt_misc when somebody first looks.
    return {
        f"{field[4]} {field[field.index('-') + 1]}"
        for field in lines
        if field[4].startswith(("/sys/", "/proc/", "/dev/")) and "binfmt_misc" not in field[4]
    }


def tree(path: Path) -> list[str]:
    """What a runtime has left in a directory: names, types, modes, owners, sizes."""
    made = []
    for base, directories, files in os.walk(path):
        directories[:] = sorted(d for d in directories if Path(base, d) != path / "rootfs/bin")
        for name in sorted([*directories, *files]):
            found = os.lstat(f"{base}/{name}")
            size = found.st_size if stat.S_ISREG(found.st_mode) else 0
            made.append(
                f"left: {os.path.relpath(f'{base}/{name}', path)} {stat.filemode(found.st_mode)}"
                f" {found.st_uid}:{found.st_gid} {size}"
            )
    return [line for line in made if not line.startswith("left: config.json ")]


def differences(runc: list[str], pyrunc: list[str]) -> list[str]:
    """Lines of one side only, "-" runc's and "+" pyrunc's, in order."""
    return list(difflib.unified_diff(runc, pyrunc, n=0, lineterm=""))[2:]


def cgroup_files(pid: int) -> list[str]:
    """All that was set in a process's cgroups, from the host's side."""
    made = []
    for line in sorted(Path(f"/proc/{pid}/cgroup").read_text().splitlines()):
        _, names, path = line.split(":", 2)
        hierarchy = names.removeprefix("name=") or ("" if support.V2 else "unified")
        base = Path("/sys/fs/cgroup", hierarchy)
        place = Path(f"{base}{path}")
        made.append(f"cgroup of: {names or 'v2'} {path}")
        if path == "/":
            continue
        made += [
            f"{names or 'v2'}: {file.name}: {line}"
            for file in sorted(place.iterdir())
            if file.is_file() and file.stat().st_mode & 0o400 and not _VOLATILE.search(file.name)
            for line in _read(file)
        ]
    return made


_VOLATILE = re.compile(
    r"usage|stat|threads|pressure|\.procs|tasks|peak|events|current|fail|sched_delay|io_serv"
)


def _read(file: Path) -> list[str]:
    try:
        return sorted(file.read_text().splitlines())
    except OSError as error:
        return [error.strerror]
