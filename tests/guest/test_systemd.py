# SPDX-License-Identifier: Apache-2.0
"""The systemd driver with a real systemd: units, limits, reload, clean-up, a bus that is down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(not os.path.isdir("/run/systemd/system"), reason="needs systemd as PID 1"),
]
ROOT = Path("/sys/fs/cgroup")
SLICE = "pyrunctest.slice"
# In a mount namespace of its own: no way to systemd, neither over the bus nor directly.
NO_BUS = "mount -t tmpfs none /run/dbus; mount --bind /dev/null /run/systemd/private; "


def systemctl(*args: str, check: bool = True) -> str:
    done = subprocess.run(["systemctl", *args], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def shown(unit: str, *names: str) -> dict[str, str]:
    text = systemctl("show", unit, *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in text.splitlines())


def units(part: str) -> str:
    return systemctl("list-units", "--all", "--no-legend", "--plain", f"*{part}*")


class Box:
    """A container under systemd, and where to find it."""

    def __init__(self, runtime, bundle) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.name = runtime.new_id()
        self.unit = f"test-{self.name}.scope"
        self.cgroup = ROOT / SLICE / self.unit
        bundle.config["linux"]["cgroupsPath"] = f"{SLICE}:test:{self.name}"
        self.resources = bundle.config["linux"].setdefault("resources", {})
        bundle.args("/bin/sleep", "1000")

    def create(self):
        self.bundle.write()
        self.runtime.create(self.bundle, self.name, "--systemd-cgroup")
        return self

    def start(self):
        self.create()
        self.runtime("start", self.name)
        return self

    def read(self, name: str) -> str:
        return (self.cgroup / name).read_text().strip()

    def pids(self) -> list[str]:
        return self.read("cgroup.procs").split()


@pytest.fixture
def box(runtime, bundle):
    # The option stands before the command; `create` in support.py puts it after.
    runtime.create = lambda b, name, *_: create(runtime, b, name)
    yield Box(runtime, bundle)
    runtime.clean()
    subprocess.run(["systemctl", "stop", SLICE], check=False, capture_output=True)


def create(runtime, bundle, name: str) -> str:
    words = [*runtime.prefix, runtime.program, "--root", str(runtime.root), "--systemd-cgroup"]
    with open(os.devnull, "r+b") as null, open(runtime.root.parent / "log", "wb") as log:
        done = subprocess.run(
            [*words, "create", "-b", str(bundle.path), name],
            check=False, stdin=null, stdout=null, stderr=log, timeout=60 * support.SLOW,
        )  # fmt: skip
    assert done.returncode == 0, (runtime.root.parent / "log").read_text()
    return name


def gone(box: Box) -> bool:
    return not box.cgroup.exists() and box.name not in units(box.name)


def test_a_scope_with_its_limits(box):
    box.resources |= {
        "memory": {"limit": 64 << 20, "reservation": 16 << 20, "swap": 96 << 20},
        "cpu": {"shares": 512, "quota": 25_500, "period": 50_000, "cpus": "0"},
        "pids": {"limit": 20},
        "unified": {"memory.high": str(48 << 20)},
    }
    box.start()
    pid = str(box.runtime.state(box.name)["pid"])
    assert box.pids() == [pid]
    assert shown(
        box.unit, "Slice", "Delegate", "MemoryMax", "MemoryLow", "MemoryHigh", "MemorySwapMax",
        "CPUWeight", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs", "TasksMax",
        "DevicePolicy", "ActiveState",
    ) == {
        "Slice": SLICE, "Delegate": "yes", "MemoryMax": str(64 << 20),
        "MemoryLow": str(16 << 20), "MemoryHigh": str(48 << 20), "MemorySwapMax": str(32 << 20),
        "CPUWeight": "59", "CPUQuotaPerSecUSec": "510ms", "CPUQuotaPeriodUSec": "50ms",
        "AllowedCPUs": "0", "TasksMax": "20", "DevicePolicy": "strict", "ActiveState": "active",
    }  # fmt: skip
    files = {
        "memory.max": str(64 << 20), "memory.low": str(16 << 20), "memory.high": str(48 << 20),
        "memory.swap.max": str(32 << 20), "cpu.weight": "59", "cpu.max": "25500 50000",
        "cpuset.cpus": "0", "pids.max": "20",
    }  # fmt: skip
    assert {name: box.read(name) for name in files} == files
    systemctl("daemon-reload")
    assert {name: box.read(name) for name in files} == files
    box.runtime("delete", "--force", box.name)
    assert gone(box)


def test_the_device_filter_survives_a_reload_and_a_change_of_limits(box, tmp_path):
    box.bundle.shell(
        "while :; do read line < /in || continue; "
        'sh -c "$line" > /out 2>&1; echo done >> /out; done'
    )
    box.bundle.config["root"]["readonly"] = False
    box.bundle.config["process"]["capabilities"]["bounding"].append("CAP_MKNOD")
    box.bundle.config["process"]["capabilities"]["effective"].append("CAP_MKNOD")
    box.bundle.config["process"]["capabilities"]["permitted"].append("CAP_MKNOD")
    box.resources["devices"] = [{"allow": False, "access": "rwm"}]
    os.mkfifo(box.bundle.rootfs / "in")
    box.start()

    def ask(line: str) -> str:
        out = box.bundle.rootfs / "out"
        out.unlink(missing_ok=True)
        fd = os.open(box.bundle.rootfs / "in", os.O_RDWR | os.O_NONBLOCK)  # never waits
        os.write(fd, line.encode() + b"\n")
        deadline = time.monotonic() + 10 * support.SLOW
        while not out.exists() or not out.read_text().endswith("done\n"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.close(fd)
        return out.read_text()

    def check() -> None:
        said = ask(
            "cd /dev; rm -f n m; mknod n c 1 3; mknod m c 1 1; echo x >n && echo wrote; cat m"
        )
        assert "wrote" in said
        assert "Operation not permitted" in said

    check()
    systemctl("daemon-reload")
    check()
    # What an update of limits does to the unit.
    systemctl("set-property", "--runtime", box.unit, "MemoryMax=50M")
    check()
    state = json.loads((box.runtime.root / box.name / "state.json").read_text())
    opened(state).set_limits(resources({"pids": {"limit": 33}}))
    assert box.read("pids.max") == "33"
    check()


def opened(state):
    from pyrunc import cgroups

    return cgroups.open_cgroup(state["cgroup"])


def resources(raw):
    from pyrunc.spec.load import decode_resources

    return decode_resources(raw)


def test_annotations_become_properties(box):
    box.bundle.config["annotations"] = {
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Description": "'a test'",
    }
    box.create()
    assert shown(box.unit, "TimeoutStopUSec", "CollectMode", "Description") == {
        "TimeoutStopUSec": "7s",
        "CollectMode": "inactive-or-failed",
        "Description": "a test",
    }


def test_an_annotation_that_would_run_something(box):
    key = "org.systemd.property.ExecStartPre"
    box.bundle.config["annotations"] = {key: "[('/bin/touch', ['touch', '/tmp/x'], false)]"}
    box.bundle.write()
    words = ("--systemd-cgroup", "create", "-b", str(box.bundle.path), box.name)
    done = box.runtime(*words, check=False)
    assert done.returncode == 1
    assert "must not be set by an annotation" in done.stderr
    assert done.stderr.count("\n") == 1
    assert gone(box)
    assert not (box.runtime.root / box.name).exists()


@pytest.mark.parametrize("path", ["/a/b", "a:b", "a/b.slice:x:y", "a.slice:x:../y", "a.slice:x:"])
def test_malformed_paths(box, path):
    box.bundle.config["linux"]["cgroupsPath"] = path
    box.bundle.write()
    words = ("--systemd-cgroup", "create", "-b", str(box.bundle.path), box.name)
    done = box.runtime(*words, check=False)
    assert done.returncode == 1
    assert "/linux/cgroupsPath" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (box.runtime.root / box.name).exists()


def test_the_unit_of_another_owner_is_left_alone(box):
    other = subprocess.Popen(
        ["systemd-run", "--scope", f"--slice={SLICE}", f"--unit={box.unit}", "sleep", "1000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10 * support.SLOW
        while not box.cgroup.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        box.bundle.write()
        words = ("--systemd-cgroup", "create", "-b", str(box.bundle.path), box.name)
        done = box.runtime(*words, check=False)
        assert done.returncode == 1
        assert other.poll() is None
        assert box.pids()
    finally:
        other.kill()
        other.wait()


def test_the_unit_of_a_container_that_failed_can_be_used_again(box):
    box.create()
    # As after an OOM kill: the unit fails, and its name stays taken until it is reset.
    box.bundle.config["annotations"] = {}
    subprocess.run(["systemctl", "kill", "--signal=KILL", box.unit], check=True)
    box.runtime.until(box.name, "stopped")
    box.runtime("delete", box.name)
    assert gone(box)
    box.create()
    box.runtime("delete", "--force", box.name)
    assert gone(box)


def test_out_of_memory_leaves_no_unit(box):
    box.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    box.bundle.shell("x=a; while :; do x=$x$x; done")
    box.start()
    box.runtime.until(box.name, "stopped", 60)
    box.runtime("delete", box.name)
    assert gone(box)


@pytest.mark.parametrize("verb", ["stopped", "running"])
def test_without_a_bus_all_goes_but_create(box, verb):
    box.start()
    if verb == "stopped":
        box.runtime.prefix = ("unshare", "-m", "sh", "-c", NO_BUS + 'exec "$@"', "sh")
        box.runtime("kill", box.name, "KILL")
        box.runtime.until(box.name, "stopped")
    box.runtime.prefix = ("unshare", "-m", "sh", "-c", NO_BUS + 'exec "$@"', "sh")
    box.runtime("delete", "--force", box.name)
    assert not box.cgroup.exists()
    words = ("--systemd-cgroup", "create", "-b", str(box.bundle.path), box.name)
    done = box.runtime(*words, check=False)
    assert done.returncode == 1
    assert "connect to systemd" in done.stderr
    assert not (box.runtime.root / box.name).exists()
    box.runtime.prefix = ()
    # systemd sees by itself that the scope is empty.
    deadline = time.monotonic() + 10 * support.SLOW
    while not gone(box):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_while_the_bus_daemon_is_stopped(box):
    systemctl("stop", "dbus.socket", "dbus.service")
    try:
        box.start()
        box.runtime("kill", box.name, "KILL")
        box.runtime.until(box.name, "stopped")
        box.runtime("delete", box.name)
        assert gone(box)
    finally:
        systemctl("start", "dbus.socket")
        systemctl("restart", "systemd-logind")  # it does not come back by itself


def test_over_the_bus_daemon(box):
    """Where systemd's own socket is out of reach, as in some containers."""
    hide = "mount --bind /dev/null /run/systemd/private; "
    box.runtime.prefix = ("unshare", "-m", "sh", "-c", hide + 'exec "$@"', "sh")
    box.start()
    assert box.pids()
    box.runtime("delete", "--force", box.name)
    assert gone(box)


@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_a_create_that_is_killed_leaves_nothing(box, tmp_path, when):
    """While it waits for systemd; how often it has to is for systemd to say, but once it does."""
    box.bundle.write()
    trace = ("strace", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=recvfrom,sendto")
    inject = ("-e", f"inject=recvfrom:signal=KILL:when={when}")
    words = ("--systemd-cgroup", "create", "-b", str(box.bundle.path), box.name)
    command = [*trace, *inject, box.runtime.program, "--root", str(box.runtime.root), *words]
    with open(os.devnull, "r+b") as null:  # not pipes: a container that is made would hold them
        code = subprocess.run(
            command, stdin=null, stdout=null, stderr=null, check=False, timeout=60 * support.SLOW
        ).returncode
    assert code != 0 or when > 1
    box.runtime("delete", "--force", box.name)
    deadline = time.monotonic() + 10 * support.SLOW
    while not gone(box):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    box.create()


def programs() -> int:
    if not shutil.which("bpftool"):
        pytest.skip("needs bpftool")
    text = subprocess.run(["bpftool", "prog", "list"], capture_output=True, text=True, check=True)
    return text.stdout.count("cgroup_device")


@pytest.mark.parametrize("driver", ["fs", "systemd"])
def test_two_hundred_lives_leave_nothing(box, driver):
    systemd = driver == "systemd"
    config = box.bundle.config["linux"]
    box.resources |= {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}
    box.resources["devices"] = [{"allow": False, "access": "rwm"}]
    before, descriptors = programs(), len(os.listdir("/proc/self/fd"))
    with open(os.devnull, "r+b") as null:
        stdio = (null.fileno(),) * 3
        for number in range(200):
            name = f"{box.name}-{number}"
            config["cgroupsPath"] = f"{SLICE}:test:{name}" if systemd else f"/{SLICE}/{name}"
            box.bundle.write()
            made = pyrunc.Container.create(
                str(box.bundle.path), name, root=str(box.runtime.root), stdio=stdio,
                systemd_cgroup=systemd,
            )  # fmt: skip
            made.delete(force=True)
            made.wait()
    assert box.name not in units(box.name)
    assert not list((ROOT / SLICE).glob("*")) or not [
        path for path in (ROOT / SLICE).iterdir() if path.is_dir()
    ]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    deadline = time.monotonic() + 10 * support.SLOW
    while programs() > before:  # the kernel frees them some time after their cgroups
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_in_a_users_session():
    if "\ntester:" not in Path("/etc/passwd").read_text():
        pytest.skip("needs the guest's user tester")
    script = Path(__file__).with_name("rootless.sh")
    subprocess.run(["loginctl", "enable-linger", "tester"], check=True)
    done = subprocess.run(
        ["systemd-run", "--user", "--machine=tester@.host", "--wait", "--pipe", "--quiet",
         "sh", str(script)],
        capture_output=True, text=True, check=False, timeout=120 * support.SLOW,
    )  # fmt: skip
    assert "user-1000.slice/user@1000.service" in done.stdout, done.stdout + done.stderr
    assert "rootless: well" in done.stdout, done.stdout + done.stderr
