# SPDX-License-Identifier: Apache-2.0
"""Ways out through what the caller brings: descriptors, environment, ids, its terminal.

And through the program that enters the container: pyrunc-init.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

import pyrunc
from tests.integration.test_hostile_image import canary, snapshot
from tests.lib import support

assert canary  # the fixture

SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, SHRINK, GROW, WRITE
F_GET_SEALS = 1034
HELD = ("/", "/sys/fs/cgroup", "/etc", "/dev/null")


def started_with(runtime, bundle, fds) -> subprocess.CompletedProcess[str]:
    words = [runtime.program, "--root", str(runtime.root), "run", "-b", str(bundle.write().path)]
    return subprocess.run(
        [*words, runtime.new_id()], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        pass_fds=fds, check=False, timeout=60 * support.SLOW,
    )  # fmt: skip


@pytest.fixture
def held():
    """Descriptors of the host's, open in whoever starts pyrunc, and not closed on exec."""
    fds = [os.open(path, os.O_RDONLY) for path in HELD for _ in range(8)]
    for fd in fds:
        os.set_inheritable(fd, True)
    yield fds
    for fd in fds:
        os.close(fd)


FORMS = ("/proc/self/fd/{}", "/proc/self/fd/{}/..", "/proc/1/fd/{}", "/proc/thread-self/fd/{}/tmp")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["cwd", "program", "link", "script"])
def test_descriptors_of_the_caller(runtime, bundle, held, form, place):
    """CVE-2024-21626, CVE-2016-9962 (T-fdcwd): no number of a descriptor leads to the host."""
    marker = bundle.path / "marker"
    marker.write_text("the host's")
    for fd in range(3, 12):
        target = form.format(fd)
        process = bundle.config["process"]
        process |= {"cwd": "/", "args": ["/bin/sh", "-c", f"cat {target}{marker} .{marker}; true"]}
        if place == "cwd":
            process["cwd"] = target
        elif place == "program":
            process["args"] = [f"{target}/bin/sh", "-c", f"cat {marker}"]
        elif place == "link":
            link = bundle.rootfs / f"link{fd}"
            link.symlink_to(target)
            process["cwd"] = f"/link{fd}"
        else:
            script = bundle.rootfs / f"script{fd}"
            script.write_text(f"#!{target}/bin/sh\ncat {marker}\n")
            script.chmod(0o755)
            process["args"] = [f"/script{fd}"]
        done = started_with(runtime, bundle, held)
        assert "the host's" not in done.stdout
        assert "Traceback" not in done.stderr
        if place in ("cwd", "link"):
            assert done.returncode == 1


def test_a_parked_container_holds_nothing_of_the_hosts(runtime, bundle, held):
    """H3: what init has open when it waits for start; and its working directory."""
    name = runtime.new_id()
    words = [runtime.program, "--root", str(runtime.root), "create", "-b", str(bundle.write().path)]
    with open(os.devnull, "r+b") as null:
        subprocess.run(
            [*words, name], stdin=null, stdout=null, stderr=null, pass_fds=held, check=True
        )
    pid = runtime.state(name)["pid"]
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        target, kind = os.readlink(path), stat.S_IFMT(os.stat(path).st_mode)
        assert kind != stat.S_IFDIR, target
        assert kind != stat.S_IFREG or target.startswith("/memfd:"), target
    assert os.path.samefile(f"/proc/{pid}/cwd", f"/proc/{pid}/root")


def hashes(paths) -> dict[str, str]:
    return {str(path): hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def test_the_program_that_enters_cannot_be_written(runtime, bundle):
    """CVE-2019-5736 (T-exe): a sealed copy, and nothing of the host's beside it."""
    where = Path(pyrunc.__file__).parent
    ours = [runtime.program, where / "pyrunc-init", *where.glob("kernel/*.so")]
    before = hashes(ours)
    (bundle.rootfs / "entry").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "entry").chmod(0o755)
    refused = runtime.run(bundle.args("/entry"))
    assert (refused.returncode, "pyrunc-init is started by pyrunc" in refused.stderr) == (1, True)
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    pid = runtime.state(name)["pid"]
    exe = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    assert fcntl.fcntl(exe, F_GET_SEALS) & SEALS == SEALS
    os.close(exe)
    with pytest.raises(OSError, match=r"Operation not permitted|Text file busy"):
        os.write(os.open(f"/proc/{pid}/exe", os.O_WRONLY), b"evil")
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert str(where) not in maps
    assert ".so" not in maps
    assert hashes(ours) == before


def test_the_program_that_enters_needs_no_library(runtime):
    """docker's CVE-2019-14271: an image's libraries are never loaded, for there are none."""
    data = (Path(pyrunc.__file__).parent / "pyrunc-init").read_bytes()
    assert data[:4] == b"\x7fELF"
    assert b"/ld-linux" not in data
    assert b"/ld-musl" not in data


def test_a_setuid_command_refuses(runtime, tmp_path):
    """bubblewrap's CVE-2016-8659 and its kind: no more rights than the caller's."""
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("programs in here cannot be setuid")
    program = tmp_path / "pyrunc"
    shutil.copy(runtime.program, program)
    os.chown(program, 1000, 1000)
    program.chmod(0o4755)
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "pyrunc: refusing to run setuid\n")


IMAGE = {
    "LD_PRELOAD": "/evil.so", "LD_LIBRARY_PATH": "/evil", "PYTHONPATH": "/evil",
    "BASH_ENV": "/evil", "GCONV_PATH": "/evil", "NOTIFY_SOCKET": "/evil",
    "PATH": "/evil:/bin:/usr/bin",
}  # fmt: skip
POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
DUMP = (
    "(env; echo cwd=$(pwd); echo fds=$(ls /proc/$$/fd 2>/dev/null | tr '\\n' ' '); "
    "echo umask=$(umask); grep -E 'SigIgn|SigBlk|^CapInh|^CapAmb' /proc/self/status 2>/dev/null)"
)


@pytest.mark.parametrize("point", POINTS)
def test_what_hooks_see(runtime, bundle, point):
    """CVE-2025-23266, CVE-2026-57231 (T-hooks-env): nothing of the image's environment."""
    (bundle.rootfs / "bin/tr").symlink_to("busybox")
    log = bundle.rootfs / "log"
    log.touch()
    bundle.config["root"]["readonly"] = False
    bundle.config["process"]["env"] = [f"{name}={value}" for name, value in IMAGE.items()]
    inside = point == "startContainer"
    script = f"{DUMP} > {'/log' if inside else log}"
    bundle.config["hooks"] = {
        point: [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}]
    }
    done = runtime.run(bundle.args("/bin/true"))
    assert done.returncode == 0, done.stderr
    text = log.read_text()
    assert "evil" not in text
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert set(lines) <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD", "cwd", "fds", "umask"}
    # 0, 1, 2; the shell's own, for the output; and what it keeps while it reads.
    if lines["fds"]:
        assert len(lines["fds"].split()) <= 5
    if "SigBlk" in text:
        status = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
        assert int(status["SigBlk"], 16) == 0
        # SIGQUIT is the shell's own; 32 and 33 libc's: whoever started us may ignore them.
        assert int(status["SigIgn"], 16) & ~(3 << 31 | 1 << 2) == 0
    if point == "createContainer":
        assert lines["cwd"] in (str(bundle.rootfs), "/")
    elif not inside:
        assert lines["cwd"] == str(bundle.path)


# --- ids -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uid", "gid"])
def test_ids_that_are_not_mapped(runtime, bundle, name):
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1000}]
    bundle.config["process"]["user"][name] = 5000
    done = runtime.run(bundle.shell("echo ran"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "[/process/user" in done.stderr


def test_numbers_are_no_names(runtime, bundle):
    """CVE-2016-3697: a user of the image's passwd that is called 1000 changes nothing."""
    (bundle.rootfs / "etc").mkdir()
    (bundle.rootfs / "etc/passwd").write_text("1000:x:0:0::/:/bin/sh\n")
    (bundle.rootfs / "etc/group").write_text("1000:x:0:\n")
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell("id -u; id -g")
    assert runtime.run(bundle).stdout == "1000\n1000\n"


@pytest.mark.parametrize("number", [1 << 32, -1, "0", 1.5, "1000", True])
@pytest.mark.parametrize("name", ["uid", "gid"])
def test_numbers_out_of_range_do_not_wrap(runtime, bundle, name, number):
    """CVE-2016-3697, CVE-2026-30892: 2^32 is not root."""
    bundle.config["process"]["user"][name] = number
    done = runtime.run(bundle.shell("echo ran"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/process/user/{name}" in done.stderr


def test_a_user_gets_no_capability_that_is_not_ambient(runtime, bundle):
    """CVE-2016-8867, CVE-2022-29162: nor an inheritable one, for file capabilities to find."""
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    sets = bundle.config["process"]["capabilities"]
    sets.pop("ambient", None)
    assert not sets.get("inheritable")
    bundle.shell("grep ^Cap /proc/self/status")
    found = dict(line.split(":\t") for line in runtime.run(bundle).stdout.splitlines())
    assert [found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == ["0" * 16] * 4
    assert found["CapBnd"] != "0" * 16


PATHS = ("../x", "/../x", "a/../../b", "/a/../..", "..", "a:b:../c")


@pytest.mark.parametrize("path", PATHS)
def test_no_cgroup_path_climbs(runtime, bundle, path):
    """T-ids: below the hierarchy's root, or refused."""
    before = set(os.listdir("/sys/fs/cgroup")) | set(os.listdir("/sys/fs"))
    parent = f"pyrunc-test-{os.getpid()}"  # seen there on cgroup v2
    bundle.config["linux"]["cgroupsPath"] = f"/{parent}/{path}"
    done = runtime.run(bundle.args("/bin/true"))
    assert "Traceback" not in done.stderr
    after = set(os.listdir("/sys/fs/cgroup")) | set(os.listdir("/sys/fs"))
    assert after - {parent} == before
    for top in support.cgroups_named(parent):
        for left, _, _ in os.walk(top, topdown=False):
            os.rmdir(left)


# --- the caller's terminal, sockets, processes -----------------------------------------------


def test_the_callers_terminal_is_not_the_containers(runtime, bundle):
    """bubblewrap's CVE-2017-5226: no controlling terminal, so TIOCSTI types nothing there."""
    master, slave = pty.openpty()
    bundle.shell("cut -d' ' -f 7 /proc/$$/stat; (: < /dev/tty) 2>&1; true")
    words = ["setsid", "-c", "-w", runtime.program, "--root", str(runtime.root), "run"]
    done = subprocess.run(
        [*words, "-b", str(bundle.path), runtime.new_id()], stdin=slave, capture_output=True,
        text=True, check=False, timeout=60 * support.SLOW,
    )  # fmt: skip
    os.close(master)
    os.close(slave)
    assert done.stdout.splitlines()[0] == "0"
    assert "No such device or address" in done.stdout


def test_no_socket_has_an_abstract_name(runtime, bundle):
    """containerd's CVE-2020-15257: who shares the network shares those names."""

    def abstract() -> set[str]:
        names = (line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines())
        return {name for name in names if name.startswith("@")}

    before = abstract()
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    assert abstract() <= before
    runtime("start", name)
    assert abstract() <= before


def test_who_shares_the_processes_sees_nothing_of_the_host(runtime, bundle, canary):
    """CVE-2016-9962, CVE-2016-8649: while others are made beside him, all he opens is theirs."""
    spy = (
        "while :; do for p in /proc/[0-9]*; do "
        "for i in $p/cwd $p/root $p/fd/*; do test -e $i/canary-of-the-host && echo leak $i; "
        "done; done; done"
    )
    (canary.parent / "canary-of-the-host").touch()
    bundle.config["process"]["capabilities"] = {
        name: ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]
        for name in ("bounding", "effective", "permitted")
    }
    bundle.shell(spy)
    name = runtime.new_id()
    words = [runtime.program, "--root", str(runtime.root), "create", "-b", str(bundle.path), name]
    reader, writer = os.pipe()
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, check=True)
    os.close(writer)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(os.read(reader, 65536)))
    thread.start()
    runtime("start", name)
    spaces = bundle.config["linux"]["namespaces"]
    spaces[:] = [n for n in spaces if n["type"] != "pid"]
    spaces.append({"type": "pid", "path": f"/proc/{runtime.state(name)['pid']}/ns/pid"})
    bundle.args("/bin/true")
    # Started where the canary lies: its own working directory is what the spy would see.
    for _ in range(20):
        done = runtime.run(bundle, cwd=str(canary.parent))
        assert done.returncode == 0, done.stderr
    runtime("delete", "--force", name)
    thread.join(10 * support.SLOW)
    os.close(reader)
    assert found == [b""]
    assert snapshot(canary)


@pytest.mark.parametrize("joins", [False, True])
def test_who_joins_cannot_be_traced(runtime, bundle, tmp_path, joins):
    """CVE-2016-9962: from before the first joined namespace on. The hook stands for a process in
    there: it has the rights of pyrunc-init and no CAP_SYS_PTRACE, so that only this decides."""
    spy = (
        'pid=$(sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/"); '
        f"readlink /proc/$pid/root >{tmp_path}/seen 2>&1; exit 0"
    )
    bundle.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", spy], "env": ["PATH=/bin"]}]
    }
    if joins:
        bundle.config["linux"]["namespaces"] += [
            {"type": "time", "path": "/proc/self/ns/time"},
        ]
    runtime.prefix = ("setpriv", "--bounding-set=-sys_ptrace")
    done = runtime.run(bundle.args("/bin/true"))
    assert done.returncode == 0, done.stderr
    seen = (tmp_path / "seen").read_text()
    assert ("" if joins else "/") == seen.strip()


def test_a_working_directory_of_the_host(runtime, bundle, tmp_path):
    """CVE-2024-21626: a descriptor that the caller passes on is no way out for `exec`."""
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    command = [runtime.program, "--root", str(runtime.root), "exec", "--preserve-fds", "1"]
    command += ["--cwd", "/proc/self/fd/3", name, "/bin/pwd"]
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec 3<{tmp_path}; exec "$@"', "sh", *command],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode != 0
    assert "outside of container mount namespace root" in done.stderr
