# SPDX-License-Identifier: Apache-2.0
"""Makes a container for each row of cgroup_settings with runc and with pyrunc, and compares all
files of their cgroups.

    python -m tests.differential.compare_cgroups --driver fs --out build/cgroups/v1-fs.json

With --view it runs some of the rows in a mount namespace of its own: "rare" mounts the v1
controllers that few hosts have, two of them together (only in the test guest); "v2" shows a
hybrid host's v2 hierarchy alone.

The exit code is 1 where something differs that cgroup_settings.DIFFERENCES does not explain.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pyrunc import cgroups
from tests.differential import cgroup_settings
from tests.differential.cgroup_settings import DIFFERENCES, Difference, Setting
from tests.lib import support
from tests.lib.cgroup_tools import GUEST

ROOT = Path("/sys/fs/cgroup")
VIEW = "PYRUNC_TEST_CGROUP_VIEW"
# What `sh` does first. For the rare ones cgroup v2 must give back what it has handed down.
RARE = """
umount -R /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup || exit 1
mkdir v2 && mount -t cgroup2 none v2 && find v2 -depth -name cgroup.subtree_control |
    while read -r file; do echo '-hugetlb -rdma' 2>/dev/null >"$file"; done
for one in net_cls,net_prio hugetlb rdma devices freezer perf_event; do
    mkdir $one
    for try in 1 2 3 4 5 6 7 8 9 10; do
        mount -t cgroup -o $one none $one 2>/dev/null && break
        sleep 1
    done
done
ln -s net_cls,net_prio net_cls && ln -s net_cls,net_prio net_prio
mkdir systemd && mount -t cgroup -o none,name=systemd none systemd || exit 1
umount v2 && rmdir v2 && cd - >/dev/null && "$@"
code=$?
umount -R /sys/fs/cgroup
exit $code
"""
MOUNTS = {
    "rare": RARE,
    "v2": 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup || exit 1; exec "$@"',
}
PROGRAMS = {"runc": "runc", "pyrunc": support.PYRUNC}
MISSING = "(no such file)"
# What processes do, not what was set.
VOLATILE = re.compile(
    r"usage|\bstat|_stat|threads|pressure|\.procs|tasks|peak|events|current|failcnt"
    r"|effective|delay|isolated|numa|bfq\.io|throttle\.io|kmem\.slabinfo"
)
# Of the unit that systemd makes: what limits and what was asked for.
PROPERTIES = (
    "Slice", "Delegate", "MemoryMax", "MemoryLow", "MemorySwapMax", "MemoryHigh", "MemoryMin",
    "CPUWeight", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "TasksMax", "AllowedCPUs",
    "AllowedMemoryNodes", "DevicePolicy", "MemoryAccounting", "CPUAccounting", "IOAccounting",
    "TasksAccounting", "DefaultDependencies",
)  # fmt: skip
Files = dict[str, str]


class Side:
    """What one runtime made of a setting: the files, or the message of its refusal."""

    def __init__(self, files: Files, message: str = "") -> None:
        self.files = files
        self.message = message

    @property
    def refused(self) -> bool:
        return bool(self.message)


class Comparison:
    """The two runtimes on this host with one driver.

    Args:
        driver: "fs" or "systemd".
    """

    def __init__(self, driver: str) -> None:
        layout = cgroups.detect()
        self.kind = f"{'v2' if layout.kind == 'v2' else 'v1'} {driver}"
        view = os.environ.get(VIEW, "")
        self.kind = {"rare": "v1 rare", "v2": "v2 view"}.get(view, self.kind)
        self.driver = driver
        self.path = Path(tempfile.mkdtemp(prefix="pyrunc-cgroups-"))
        self.bundle = support.Bundle(self.path / "bundle", support.default_config())
        self.bundle.args("/bin/sleep", "100")
        self.template = json.dumps(self.bundle.config)
        self.settings = cgroup_settings.settings(*_disk())
        chosen = cgroup_settings.names(self.kind)
        self.settings = {name: self.settings[name] for name in chosen}
        self.used: set[Difference] = set()
        self.rows: set[str] = set()
        self._count = 0
        self._plain: dict[str, Side] = {}
        if GUEST:
            # Other tests load it, and which file has the weights depends on it.
            subprocess.run(["modprobe", "-r", "bfq"], check=False)

    def close(self) -> None:
        left = support.cgroups_named(f"{self.path.name}-")
        shutil.rmtree(self.path)
        assert not left, f"cgroups left behind: {left}"

    def row(self, name: str) -> dict[str, Any]:
        """One row of the table, as JSON values.

        Keys: resources, verdict ("same", "differs", "refused by ..."), reasons, and for each
        runtime what it set (`files`) or said (`message`); `unexplained` is a list of lines.
        """
        setting = self.settings[name]
        self.rows.add(name)
        sides = {program: self._run(program, setting) for program in PROGRAMS}
        if not self._plain:
            nothing = self.settings["nothing"]
            self._plain = {program: self._run(program, nothing) for program in PROGRAMS}
        runc, pyrunc = sides["runc"], sides["pyrunc"]
        row: dict[str, Any] = {"resources": setting.resources, "reasons": [], "unexplained": []}
        if runc.refused or pyrunc.refused:
            self._judge_refusal(name, setting, sides, row)
        else:
            self._judge_files(name, setting, sides, row)
        for program, side in sides.items():
            row[program] = {
                "files": {f: side.files.get(f, MISSING) for f in self._shown(sides)},
                "message": side.message,
            }
        return row

    def _shown(self, sides: dict[str, Side]) -> list[str]:
        """The files that the setting changed, or that differ."""
        if any(side.refused for side in sides.values()):
            return []
        names = sorted({f for side in sides.values() for f in side.files})
        changed = [
            f
            for f in names
            if len({side.files.get(f) for side in sides.values()}) > 1
            or any(s.files.get(f) != self._plain[p].files.get(f) for p, s in sides.items())
        ]
        return changed

    def _judge_refusal(
        self, name: str, setting: Setting, sides: dict[str, Side], row: dict[str, Any]
    ) -> None:
        who = [program for program, side in sides.items() if side.refused]
        row["verdict"] = "refused by " + ("both" if len(who) == 2 else who[0])
        if len(who) == 2:
            if self.kind not in setting.refused:
                row["unexplained"].append("both refuse it")
            return
        for known in self._known(name):
            if known.refused == who[0]:
                self._explain(known, row)
                return
        row["unexplained"].append(f"only {who[0]} refuses it")

    def _judge_files(
        self, name: str, setting: Setting, sides: dict[str, Side], row: dict[str, Any]
    ) -> None:
        if self.kind in setting.refused:
            row["unexplained"].append("nobody refuses it")
        runc, pyrunc = sides["runc"].files, sides["pyrunc"].files
        differing = [f for f in {**runc, **pyrunc} if runc.get(f) != pyrunc.get(f)]
        for file in differing:
            for known in self._known(name):
                if known.files and re.fullmatch(known.files, file):
                    self._explain(known, row)
                    break
            else:
                ours, theirs = pyrunc.get(file, MISSING), runc.get(file, MISSING)
                row["unexplained"].append(f"{file}: runc {theirs!r}, pyrunc {ours!r}")
        row["verdict"] = "differs" if differing else "same"

    def _known(self, name: str) -> list[Difference]:
        return [
            known
            for known in DIFFERENCES
            if self.kind in known.kinds and (not known.settings or name in known.settings)
        ]

    def _explain(self, known: Difference, row: dict[str, Any]) -> None:
        self.used.add(known)
        if known.reason not in row["reasons"]:
            row["reasons"].append(known.reason)

    def stale(self) -> list[str]:
        """Known differences that have not shown, after all rows."""
        names = set(self.settings)
        mine = [d for d in DIFFERENCES if self.kind in d.kinds and names & set(d.settings)]
        return [known.reason for known in mine if known not in self.used]

    def _run(self, program: str, setting: Setting) -> Side:
        self._count += 1
        container_id = f"{self.path.name}-{self._count}"
        config = json.loads(self.template)
        config["linux"]["resources"] |= setting.resources
        options: list[str] = []
        if self.driver == "systemd":
            options = ["--systemd-cgroup"]
            config["linux"]["cgroupsPath"] = f"system.slice:test:{container_id}"
        self.bundle.config = config
        self.bundle.write()
        root = self.path / program
        command = [PROGRAMS[program], *options, "--root", str(root)]
        try:
            done = _quiet([*command, "create", "-b", str(self.bundle.path), container_id])
            if done.returncode:
                return Side({}, _message(done.stderr, container_id))
            state = _quiet([*command, "state", container_id]).stdout
            return Side(self._files(json.loads(state)["pid"], container_id))
        finally:
            _quiet([*command, "delete", "--force", container_id])
            if program == "runc":
                support.remove_cgroups(container_id)

    def _files(self, pid: int, container_id: str) -> Files:
        found: Files = {}
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, names, inner = line.split(":", 2)
            hierarchy = names.removeprefix("name=")
            if hierarchy and self.kind.startswith("v2"):
                continue  # out of sight: the v2 view of a hybrid host
            if self.kind.startswith("v1"):
                hierarchy = hierarchy or "unified"
                if not (ROOT / hierarchy).is_dir():
                    continue
            place = Path(f"{ROOT}/{hierarchy}{inner}")
            where = "" if not hierarchy else f"{hierarchy}/"
            found[f"{where}(place)"] = inner.replace(container_id, "ID")
            if inner != "/":
                found |= {where + name: text for name, text in _read(place).items()}
        if self.driver == "systemd":
            found |= _unit(f"test-{container_id}.scope")
        return found


def _disk() -> tuple[int, int]:
    for name in ("vda", "sda", "loop0"):
        path = Path(f"/sys/block/{name}/dev")
        if path.exists():
            major, _, minor = path.read_text().strip().partition(":")
            return int(major), int(minor)
    raise SystemExit("no block device to put limits on")


def _quiet(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run with standard streams that a container may keep."""
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as out:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, timeout=120
        )
        for stream in (out, errors):
            stream.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, out.read(), errors.read())


def _message(text: str, container_id: str) -> str:
    """The last line of a log, without its time and level."""
    last = text.strip().splitlines()[-1] if text.strip() else "(no message)"
    found = re.search(r'msg="?(.*?)"?$', last)
    words = (found.group(1) if found else last).replace('\\"', '"')
    # Below this process's own cgroup, whose name is of no interest.
    return re.sub(r"(/sys/fs/cgroup)/\S*/ID/", r"\1/.../ID/", words.replace(container_id, "ID"))


def _read(place: Path) -> Files:
    found = {}
    for file in sorted(place.iterdir()):
        if not file.is_file() or VOLATILE.search(file.name) or not file.stat().st_mode & 0o400:
            continue
        try:
            found[file.name] = "\n".join(sorted(file.read_text().splitlines()))
        except OSError as error:
            found[file.name] = f"({error.strerror})"
    return found


def _unit(name: str) -> Files:
    shown = ["systemctl", "show", "-p", ",".join(PROPERTIES), name]
    text = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    return {f"unit {key}": value for key, _, value in (x.partition("=") for x in text.splitlines())}


def versions() -> dict[str, str]:
    runc = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True)
    return {"kernel": os.uname().release, "runc": runc.stdout.splitlines()[0].split()[-1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", choices=("fs", "systemd"), default="fs")
    parser.add_argument("--view", choices=("rare", "v2"), help="in a mount namespace")
    parser.add_argument("--out", type=Path, help="where the results go, as JSON")
    parser.add_argument("names", nargs="*", help="of settings; all of them without")
    options = parser.parse_args()
    if options.view and VIEW not in os.environ:
        assert GUEST or options.view != "rare", "it mounts hierarchies: only in the guest"
        shell = ["unshare", "-m", "--propagation", "private", "sh", "-c", MOUNTS[options.view]]
        again = [*shell, "sh", sys.executable, "-m", "tests.differential.compare_cgroups"]
        env = {**os.environ, VIEW: options.view}
        return subprocess.run([*again, *sys.argv[1:]], check=False, env=env).returncode
    comparison = Comparison(options.driver)
    try:
        names = options.names or list(comparison.settings)
        rows = {name: comparison.row(name) for name in names}
    finally:
        comparison.close()
    problems = [f"{name}: {line}" for name, row in rows.items() for line in row["unexplained"]]
    if not options.names:
        problems += [f"does not show any more: {reason}" for reason in comparison.stale()]
    if options.out:
        document = {"kind": comparison.kind, **versions(), "rows": rows}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    for problem in problems:
        print(problem)
    print(f"{comparison.kind}: {len(rows)} settings, {len(problems)} differences unexplained")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
