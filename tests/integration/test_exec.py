# SPDX-License-Identifier: Apache-2.0
"""`exec`: a further process of a container, by the command line."""

from __future__ import annotations

import array
import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lib import support
from tests.lib.support import read_until, receive

STOPPED = "cannot exec in a stopped container"


@pytest.fixture
def running(runtime, bundle):
    """A container whose program waits."""
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    return name


def sh(runtime, name, script, *options, **more):
    more.setdefault("check", False)
    return runtime("exec", *options, name, "/bin/sh", "-c", script, **more)


def status(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_it_is_where_the_container_is(runtime, bundle, running):
    """Namespaces, cgroups, root, rights: all that init has, a further process has too."""
    pid = runtime.state(running)["pid"]
    script = (
        "for n in cgroup ipc mnt net pid uts user; do readlink /proc/self/ns/$n; done;"
        "cat /proc/self/cgroup; grep -E '^(Cap|NoNew|Seccomp:|Umask|Groups)' /proc/self/status"
    )
    inside = sh(runtime, running, script).stdout.splitlines()
    namespaces = [os.readlink(f"/proc/{pid}/ns/{n}") for n in
                  ("cgroup", "ipc", "mnt", "net", "pid", "uts", "user")]  # fmt: skip
    assert inside[:7] == namespaces
    host = Path(f"/proc/{pid}/status").read_text().splitlines()
    wanted = [
        line for line in host
        if line.startswith(("Cap", "NoNew", "Seccomp:", "Umask", "Groups"))
    ]  # fmt: skip
    assert inside[-len(wanted) :] == wanted
    if bundle.config["linux"]["namespaces"][-1]["type"] == "cgroup":
        assert all(line.endswith(":/") for line in inside[7 : -len(wanted)])
    else:
        cgroups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        assert inside[7 : -len(wanted)] == cgroups


def test_nothing_of_the_host_is_open_in_it(runtime, running):
    done = sh(runtime, running, "echo /proc/$$/fd/*")
    # 3 is that of the directory that is listed.
    assert [path.split("/")[-1] for path in done.stdout.split()] == ["0", "1", "2", "3"]


def test_exit_codes(runtime, running):
    assert sh(runtime, running, "exit 7").returncode == 7
    assert sh(runtime, running, "kill -9 $$").returncode == 137
    done = runtime("exec", running, "nosuch", check=False)
    assert (done.returncode, "executable file not found in $PATH" in done.stderr) == (255, True)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("nosuch",), 'exec: "nosuch": executable file not found in $PATH'),
        (("/nosuch",), 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        (("/bin",), 'exec: "/bin": is a directory'),
        (("/etc/plain",), 'exec: "/etc/plain": permission denied'),
        ((), "exec args cannot be empty"),
    ],
)
def test_what_cannot_be_run(runtime, bundle, running, tmp_path, args, text):
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    (bundle.rootfs / "etc/plain").write_text("x")
    pid_file = tmp_path / "pid"
    done = runtime("exec", "--pid-file", str(pid_file), running, *args, check=False)
    assert done.returncode == 255
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert json.dumps(text)[1:-1] in line
    assert "exec failed: " in line
    assert not pid_file.exists()  # conmon knows by this that nothing ran


def test_a_program_that_turns_out_to_be_none(runtime, bundle, running):
    """The search finds it, execve refuses: the process's own stderr gets the line."""
    script = bundle.rootfs / "bin/broken"
    script.write_text("neither a program nor a script\n")
    script.chmod(0o755)
    done = runtime("exec", running, "/bin/broken", check=False)
    assert done.returncode == 255
    assert done.stderr == "exec /bin/broken: exec format error\n"


def test_options_of_the_process(runtime, running):
    done = sh(
        runtime, running,
        'id; pwd; echo "$A-$B"; grep -E "^(CapEff|CapInh|NoNew)" /proc/self/status',
        "-u", "5:6", "-g", "7", "--additional-gids", "8", "--cwd", "/bin", "-e", "A=1,2",
        "--env=B=3", "--cap", "CAP_NET_RAW", "--no-new-privs",
    )  # fmt: skip
    ids, cwd, variables, inherited, effective, confined = done.stdout.splitlines()
    assert ids == "uid=5 gid=6 groups=7,8"
    assert cwd == "/bin"
    assert variables == "1,2-3"
    assert int(inherited.split()[1], 16) == 0  # CVE-2022-29162
    assert int(effective.split()[1], 16) == 0  # an ordinary user, and nothing ambient
    assert confined.split()[1] == "1"
    done = sh(runtime, running, "grep CapEff /proc/self/status", "-c", "CAP_NET_RAW")
    assert int(done.stdout.split()[1], 16) & 1 << 13


@pytest.mark.parametrize(
    "user", ["name", "-1", "4294967295", "4294967296", "1e3", "0x0", "1:", ":1", "1 "]
)
def test_users_are_numbers(runtime, bundle, running, user):
    """CVE-2016-3697: the image's passwd names nobody for us."""
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    (bundle.rootfs / "etc/passwd").write_text("name:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n")
    done = sh(runtime, running, "id", f"--user={user}")
    assert done.returncode == 255
    assert "failed: not a number below" in done.stderr
    assert sh(runtime, running, "id -u", "--user=1000").stdout == "1000\n"


def test_a_process_object(runtime, bundle, running, tmp_path):
    process = {
        "args": ["/bin/sh", "-c", "id; pwd; echo $X; ulimit -n; cat /proc/self/oom_score_adj"],
        "cwd": "/bin", "env": ["X=y"], "user": {"uid": 3, "gid": 4, "additionalGids": [9]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}], "oomScoreAdj": 555,
    }  # fmt: skip
    path = tmp_path / "process.json"
    path.write_text(json.dumps(process))
    # The other options count for nothing, and no command is needed.
    done = runtime("exec", "--process", str(path), "-u", "1:1", "--cwd", "/", running)
    assert done.stdout.splitlines() == ["uid=3 gid=4 groups=9", "/bin", "y", "77", "555"]


def test_what_the_process_does_not_say_the_container_does(runtime, bundle, tmp_path):
    bundle.config["process"] |= {
        "oomScoreAdj": 321,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 55, "hard": 66}],
    }
    bundle.config["process"]["user"]["umask"] = 0o027
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}],
    }
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    path = tmp_path / "p"
    script = "ulimit -n; umask; cat /proc/self/oom_score_adj; mkdir /dev/x"
    path.write_text(json.dumps({"args": ["/bin/sh", "-c", script], "cwd": "/",
                                "env": ["PATH=/bin"]}))  # fmt: skip
    done = runtime("exec", "-p", str(path), name, check=False)
    assert done.stdout.splitlines() == ["55", "0027", "321"]
    assert "Protocol error" in done.stderr  # errno 71: the container's filter


def test_the_bundle_is_read_anew_and_the_filter_is_not(runtime, bundle, running):
    """edits have no effect, but for what exec takes from `process`."""
    bundle.config["process"]["env"] = ["PATH=/bin", "EDITED=yes"]
    bundle.config["process"]["cwd"] = "/bin"
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_KILL"}
    bundle.write()
    assert sh(runtime, running, "pwd; echo $EDITED").stdout.splitlines() == ["/bin", "yes"]
    bundle.raw("{}")
    assert "ociVersion" in sh(runtime, running, "true").stderr
    (bundle.path / "config.json").unlink()
    assert "JSON specification file config.json not found" in sh(runtime, running, "true").stderr


def test_states(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    assert sh(runtime, name, "echo created").stdout == "created\n"
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    runtime("pause", name)
    done = sh(runtime, name, "true")
    assert done.returncode == 255
    text = "exec failed: cannot exec in a paused container (use --ignore-paused to override)"
    assert text in done.stderr
    runtime("resume", name)
    runtime("kill", name, "KILL")
    runtime.until(name, "stopped")
    done = sh(runtime, name, "true")
    assert (done.returncode, STOPPED in done.stderr) == (255, True)
    done = sh(runtime, "nosuch", "true")
    assert done.returncode == 255
    assert "exec failed: container does not exist" in done.stderr


def test_a_paused_container_takes_it_and_runs_it_later(runtime, bundle, running):
    runtime("pause", running)
    waiting = subprocess.Popen(
        [runtime.program, "--root", str(runtime.root), "exec", "--ignore-paused", running,
         "/bin/echo", "at last"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        runtime("resume", running)
        assert waiting.communicate(timeout=20)[0] == "at last\n"
    finally:
        waiting.kill()
        waiting.wait()


def test_detached_with_a_pid_file(runtime, running, tmp_path):
    path = tmp_path / "pid"
    path.write_text("")  # cri-o has made it
    with open(os.devnull, "r+b") as null:
        done = subprocess.run(
            [runtime.program, "--root", str(runtime.root), "exec", "-d", "--pid-file", str(path),
             running, "/bin/sleep", "1000"],
            stdin=null, stdout=null, stderr=null, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0
    pid = int(path.read_text())
    assert path.read_text() == str(pid)
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"/bin/sleep\x001000\x00"
    assert status(pid)["NSpid"].split()[0] == str(pid)
    # Not the session of whoever asked (CVE-2016-10124), and no parent-death signal left.
    assert status(pid)["NSsid"].split()[-1] == status(pid)["NSpid"].split()[-1]


def test_a_terminal_by_a_console_socket(runtime, running, tmp_path):
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    runtime("exec", "-d", "-t", "--console-socket", path, running, "/bin/sh", "-c",
            "tty; ls -l /dev/console | wc -l; read x; echo got $x")  # fmt: skip
    master = receive(listener)
    try:
        assert b"/dev/pts/" in read_until(master, b"/dev/pts/")
        os.write(master, b"word\n")
        read_until(master, b"got word")
    finally:
        os.close(master)
        listener.close()


def test_a_terminal_in_the_foreground(runtime, running):
    pid, fd = pty.fork()
    if pid == 0:
        script = "tty; read x; echo got $x; exit 9"
        command = [runtime.program, "--root", str(runtime.root), "exec", "-t", running]
        os.execv(runtime.program, [*command, "/bin/sh", "-c", script])
    read_until(fd, b"/dev/pts/")
    os.write(fd, b"it\n")
    read_until(fd, b"got it")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    os.close(fd)


def test_signals_of_the_caller_go_to_it(runtime, running):
    script = "trap 'echo usr1; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [runtime.program, "--root", str(runtime.root), "exec", running, "/bin/sh", "-c", script],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(10)
    assert process.communicate(timeout=20)[0] == "usr1\n"
    assert process.returncode == 5


def test_a_pidfd_of_it(runtime, running, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        runtime("exec", "--pidfd-socket", path, running, "/bin/true")
        connection, _ = listener.accept()
        with connection:
            data, control, _, _ = connection.recvmsg(64, socket.CMSG_SPACE(4))
    assert data == b"setns"
    [fd] = array.array("i", control[0][2])
    assert "pidfd" in os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)


def test_preserved_descriptors(runtime, running, tmp_path):
    (tmp_path / "kept").write_text("kept")
    fd = os.open(tmp_path / "kept", os.O_RDONLY)
    other = os.open("/", os.O_RDONLY)
    try:
        command = [runtime.program, "--root", str(runtime.root), "exec", "--preserve-fds", "1",
                   running, "/bin/sh", "-c", "cat <&3; ls /proc/self/fd | wc -l"]  # fmt: skip

        def place() -> None:
            os.dup2(fd, 3)
            os.dup2(other, 4)

        done = subprocess.run(
            command, preexec_fn=place, pass_fds=(3, 4), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.stdout == "kept5\n"  # 0 to 3, and that of ls
        done = runtime("exec", "--preserve-fds", "9", running, "/bin/true", check=False)
        assert "unable to stat preserved-fd" in done.stderr
    finally:
        os.close(fd)
        os.close(other)


def test_a_cgroup_below(runtime, running):
    pid = runtime.state(running)["pid"]
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    unified = support.V2
    path = next(line.split(":")[2] for line in lines if unified or ":pids:" in line)
    top = Path("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/pids")
    below = top / path[1:] / "below"
    below.mkdir()
    try:
        option = "below" if unified else "pids:below"
        done = sh(runtime, running, "cat /proc/self/cgroup", "--cgroup", option)
        assert "/below\n" in done.stdout
        for bad in ("../..", "/../x", "below/../../.."):
            done = sh(runtime, running, "true", "--cgroup", bad)
            assert done.returncode == 255
            assert f"bad sub cgroup path: {bad}" in done.stderr
        done = sh(runtime, running, "true", "--cgroup", "missing")
        assert "no such file or directory" in done.stderr
        done = sh(runtime, running, "true", "--cgroup", "nosuch:below")
        assert "unknown controller" in done.stderr
    finally:
        below.rmdir()


def test_processors(runtime, bundle, tmp_path):
    if os.cpu_count() == 1:
        pytest.skip("needs two processors")
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    path = tmp_path / "p"
    for affinity, wanted in (({"final": "1"}, "1"), ({"initial": "1"}, "1"),
                             ({"initial": "1", "final": "0"}, "0")):  # fmt: skip
        path.write_text(json.dumps({"args": ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"],
                                    "cwd": "/", "execCPUAffinity": affinity}))  # fmt: skip
        assert runtime("exec", "-p", str(path), name).stdout.split()[1] == wanted
    path.write_text(json.dumps({"args": ["/bin/true"], "cwd": "/",
                                "execCPUAffinity": {"final": "x"}}))  # fmt: skip
    done = runtime("exec", "-p", str(path), name, check=False)
    assert "is not a list of processors" in done.stderr
    assert "/execCPUAffinity/final" in done.stderr


def test_a_container_that_ends_meanwhile(runtime, bundle):
    """Whatever the moment, the answer is one of the contract's, and nothing is left."""
    seen = set()
    for delay in range(0, 30, 3):
        name = runtime.create(bundle.args("/bin/sleep", "1000"))
        runtime("start", name)
        process = subprocess.Popen(
            [runtime.program, "--root", str(runtime.root), "exec", name, "/bin/sleep", "1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(delay / 1000)
        runtime("delete", "--force", name)
        text = process.communicate(timeout=30)[1]
        seen.add(process.returncode)
        assert process.returncode in (137, 255)
        if process.returncode == 255:
            assert STOPPED in text or "does not exist" in text or "no such" in text, text
        assert "Traceback" not in text
        assert not support.cgroups_named(name)
    assert seen


def test_the_json_log(runtime, running, tmp_path):
    log = tmp_path / "log"
    done = runtime(
        "--log", str(log), "--log-format", "json", "exec", running, "nosuch", check=False
    )
    [line] = log.read_text().splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    assert done.stderr == record["msg"] + "\n"


USERS = [{"containerID": 0, "hostID": 100000, "size": 1000}]


@pytest.fixture
def mapped(runtime, bundle):
    """A container with a user namespace, whose network is the host's."""
    linux = bundle.config["linux"]
    kinds = ("pid", "ipc", "uts", "mount", "user")
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    linux |= {"uidMappings": USERS, "gidMappings": USERS}
    os.chown(bundle.rootfs, 100000, 100000)
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    return name


def test_a_user_namespace(runtime, bundle, mapped):
    done = sh(
        runtime, mapped, "id; cat /proc/self/uid_map; readlink /proc/self/ns/user", "-u", "5:6"
    )
    ids, uid_map, user = done.stdout.splitlines()
    assert ids == "uid=5 gid=6"
    assert uid_map.split() == ["0", "100000", "1000"]
    assert user == os.readlink(f"/proc/{runtime.state(mapped)['pid']}/ns/user")
    done = sh(runtime, mapped, "id", "-u", "5000")
    assert done.returncode == 255
    assert "set ids" in done.stderr
    assert "not mapped" in done.stderr


def test_what_the_host_owns_is_joined_with_the_hosts_rights(runtime, mapped):
    inside = sh(runtime, mapped, "readlink /proc/self/ns/net").stdout.strip()
    assert inside == os.readlink("/proc/self/ns/net")


WATCHER = r"""
seen=""; end=0
while [ $end = 0 ]; do
  for p in /proc/[0-9]*; do
    for f in $p/fd/* $p/cwd $p/root $p/exe; do
      t=$(readlink $f 2>/dev/null) || continue
      case "$t" in
        /dev/null|pipe:*|/|/bin/busybox|socket:*|/proc/*|/dev/pts/*) ;;
        *) echo "$f -> $t" ;;
      esac
    done
  done
  [ -e /dev/shm/end ] && end=1
done
echo watched
"""


def test_the_container_sees_nothing_of_the_host_in_it(runtime, bundle):
    """CVE-2016-9962: whoever watches new processes from inside finds no descriptor of ours."""
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    watcher = subprocess.Popen(
        [runtime.program, "--root", str(runtime.root), "exec", name, "/bin/sh", "-c", WATCHER],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(max(20, 200 // support.EVERY)):
            done = runtime("exec", name, "/bin/true")
            assert done.returncode == 0
    finally:
        sh(runtime, name, "touch /dev/shm/end")
        output = watcher.communicate(timeout=60)[0]
    assert output == "watched\n"


def test_an_identity_that_changed_hands_is_left_alone(runtime, bundle, running):
    """The pid is the same, the process is not."""
    path = runtime.root / running / "state.json"
    state = json.loads(path.read_text())
    state["startTime"] += 1
    path.write_text(json.dumps(state))
    done = sh(runtime, running, "echo joined")
    assert done.stdout == ""
    assert STOPPED in done.stderr
    state["startTime"] -= 1
    path.write_text(json.dumps(state))


def test_no_program_of_the_host_is_needed(runtime, running):
    command = [runtime.program, "--root", str(runtime.root), "exec", running, "/bin/echo", "x"]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, timeout=60)  # fmt: skip
    assert done.stdout == "x\n"
    assert shutil.which("busybox")


@pytest.mark.parametrize("member", ["uid", "gid"])
def test_no_id_is_not_root(runtime, bundle, running, tmp_path, member):
    """(uid_t) -1 tells setresuid(2) to leave what is there: the runtime's own."""
    user = {"uid": 1000, "gid": 1000} | {member: 2**32 - 1}
    path = tmp_path / "p"
    path.write_text(json.dumps({"args": ["/bin/id"], "cwd": "/", "user": user}))
    done = runtime("exec", "-p", str(path), running, check=False)
    assert (done.returncode, done.stdout) == (255, "")
    assert f"/user/{member}: must be from 0 to 4294967294" in done.stderr
    bundle.config["process"]["user"] = user
    done = runtime.run(bundle.args("/bin/id"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/process/user/{member}: must be from 0 to 4294967294" in done.stderr


def test_what_is_odd_is_a_warning(runtime, bundle, running):
    """As runc's: one line, and the process runs without it."""
    done = runtime("exec", "--cap", "CAP_NOSUCH", running, "/bin/true")
    assert done.stderr.count("level=warning") == 1
    assert 'unknown capability \\"CAP_NOSUCH\\" ignored' in done.stderr
    bundle.config["process"]["capabilities"]["permitted"].append("CAP_NOSUCH")
    done = runtime("run", "-b", str(bundle.args("/bin/true").path), runtime.new_id())
    assert done.stderr.count("level=warning") == 1
    assert "CAP_NOSUCH" in done.stderr


REAPER = """
import ctypes, os, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
pid_file, line = sys.argv[1], sys.argv[2:]
null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
for _ in range(50):
    command = os.posix_spawn(line[0], line, os.environ, file_actions=null)
    assert os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]) == 0
    pid = int(open(pid_file).read())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_the_exit_status_of_a_detached_process_is_the_subreapers(runtime, bundle, tmp_path):
    """conmon and containerd's shim wait for it, also where it ends before `exec` does."""
    bundle.args("/bin/sleep", "1000")
    name = runtime.create(bundle)
    runtime("start", name)
    pid_file = str(tmp_path / "pid")
    line = [runtime.program, "--root", str(runtime.root), "exec", "--detach", "--pid-file"]
    done = subprocess.run(
        [sys.executable, "-c", REAPER, pid_file, *line, pid_file, name, "/bin/sh", "-c", "exit 7"],
        capture_output=True, text=True, check=False, timeout=120 * support.SLOW,
    )  # fmt: skip
    assert done.stdout.split() == ["7"] * 50, done.stderr
