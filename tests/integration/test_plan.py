# SPDX-License-Identifier: Apache-2.0
"""`pyrunc plan`: what a create would do, what stands against it, and nothing touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

import pyrunc
from tests.lib import support

# Calls that change nothing but this process. libseccomp asks by seccomp(2) for actions, and writes
# the compiled filter into a memory file.
HARMLESS = {
    "access", "arch_prctl", "brk", "close", "clock_gettime", "execve", "exit_group", "faccessat2",
    "fcntl", "fstat", "getcwd", "getdents64", "getegid", "geteuid", "getgid", "getpid",
    "getrandom", "getsockopt", "gettid", "getuid", "ioctl", "lseek", "lstat", "madvise", "mmap",
    "mprotect", "mremap", "munmap", "newfstatat", "open", "openat", "poll", "prctl", "pread64",
    "prlimit64", "read", "readlink", "readlinkat", "rseq", "rt_sigaction", "rt_sigprocmask",
    "sched_getaffinity", "set_robust_list", "set_tid_address", "sigaltstack", "stat", "statfs",
    "statx", "sysinfo", "seccomp", "memfd_create", "uname", "write", "dup", "fstatfs", "futex",
}  # fmt: skip


def plan(runtime, bundle, *options, check=True):
    bundle.write()
    return runtime("plan", "-b", str(bundle.path), *options, check=check)


def findings(runtime, bundle):
    """(verdict, pointer, text) of each; the exit code says whether one is impossible."""
    done = plan(runtime, bundle, "--json", check=False)
    document = json.loads(done.stdout)
    assert done.returncode == (document["verdict"] == "impossible")
    return [(f["verdict"], f["pointer"], f["text"]) for f in document["findings"]]


def test_the_steps_are_numbered_and_have_their_property_and_their_reason(runtime, bundle):
    bundle.config["linux"]["resources"] = {"pids": {"limit": 9}}
    before, start, *lines = plan(runtime, bundle).stdout.partition("start pyrunc-init in new ")
    lines = (start + lines[0]).splitlines()
    assert lines[0].startswith("start pyrunc-init in new namespaces: CLONE_NEWNS")
    entry, cgroup, limits = before.splitlines()
    assert entry.startswith(f"before: make {runtime.root}/ID, with a journal of what follows")
    assert cgroup.startswith("before: make the cgroup /sys/fs/cgroup/")
    assert limits.endswith("read them back: pids devices  [/linux/resources]")
    numbers = [int(found[1]) for line in lines if (found := re.match(r" *(\d+)\. ", line))]
    assert numbers == list(range(1, len(numbers) + 1))
    at = next(i for i, line in enumerate(lines) if "pivot_root" in line)
    assert lines[at + 1].strip() == "from here on no step names a path of the host"
    proc = "mount the proc at /proc, which must be a plain directory  [/mounts/0]"
    assert any(line.endswith(proc) for line in lines)
    assert lines[-1] == "verdict of this host: ok"


def test_the_json_and_the_library_say_the_same(runtime, bundle):
    text = plan(runtime, bundle).stdout
    document = json.loads(plan(runtime, bundle, "--json").stdout)
    made = pyrunc.plan(str(bundle.path), root=str(runtime.root))
    assert f"{made}\n" == text
    assert made.to_json() == document
    assert [step["text"] for step in document["steps"]] == [line.text for line in made.lines()]
    mount = next(step for step in document["steps"] if step["pointer"] == "/mounts/1")
    assert mount["arguments"]["attributes"] == ["nosuid", "strictatime"]
    assert mount["verdict"] == document["verdict"] == "ok"


def test_the_host_can_do_what_the_plan_calls_possible(runtime, bundle):
    assert findings(runtime, bundle) == []
    name = runtime.new_id()
    runtime.create(bundle, name)
    runtime("delete", "--force", name)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_nothing_is_touched(runtime, bundle, tmp_path, tmp_path_factory):
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    bundle.config["linux"]["resources"] = {"memory": {"limit": 1 << 26}, "pids": {"limit": 9}}
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    for ids in ("uidMappings", "gidMappings"):
        bundle.config["linux"][ids] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.write()
    before = [*tmp_path.rglob("*")]
    log = tmp_path_factory.mktemp("strace") / "log"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", str(log), runtime.program, "--root", str(runtime.root),
         "plan", "-b", str(bundle.path), "--json"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    calls = re.findall(r"^\d+ +(\w+)\((.*)$", log.read_text(), re.MULTILINE)
    assert len(calls) > 50
    if support.IS_EXECUTABLE:
        assert {name for name, _ in calls} <= HARMLESS
    writing = [
        rest
        for name, rest in calls
        if name.startswith("open") and re.search("O_WRONLY|O_RDWR|O_CREAT", rest)
    ]
    assert [rest for rest in writing if "/dev/null" not in rest] == []
    assert [*tmp_path.rglob("*")] == before
    assert not runtime.root.exists()


def test_what_is_impossible_is_what_create_refuses(runtime, bundle):
    mounts = bundle.config["mounts"]
    mounts.append({"destination": "/m", "source": "/nosuch/source", "options": ["bind"]})
    pointer = f"/mounts/{len(mounts) - 1}"
    text = "the mount's source /nosuch/source: no such file or directory"
    assert findings(runtime, bundle) == [("impossible", pointer, text)]
    steps = json.loads(plan(runtime, bundle, "--json", check=False).stdout)["steps"]
    assert {s["pointer"] for s in steps if s["verdict"] == "impossible"} == {pointer}
    shown = plan(runtime, bundle, check=False).stdout.splitlines()
    assert shown[-2:] == ["verdict of this host: impossible", f"  impossible: {pointer}: {text}"]
    done = runtime("create", "-b", str(bundle.path), runtime.new_id(), check=False)
    assert done.returncode == 1
    assert pointer in done.stderr


def test_a_source_that_another_mount_brings_is_not_missing(runtime, bundle, tmp_path):
    (tmp_path / "source").mkdir()
    bundle.config["mounts"] += [
        {"destination": "/one", "source": str(tmp_path / "source"), "options": ["bind"]},
        {"destination": "/two", "source": f"{bundle.rootfs}/one/x", "options": ["bind"]},
    ]
    assert findings(runtime, bundle) == []


def test_a_hook_that_is_missing(runtime, bundle):
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}, {"path": "/nosuch"}]}
    assert findings(runtime, bundle) == [
        (
            "impossible",
            "/hooks/createRuntime/1/path",
            "the hook /nosuch: no such file or directory",
        )
    ]


def test_what_the_host_leaves_out_is_degraded(runtime, bundle):
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is in force")
    bundle.config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
    assert findings(runtime, bundle) == [
        ("degraded", "/linux/mountLabel", "left out, SELinux is not enabled on this host")
    ]
    bundle.config["process"]["selinuxLabel"] = "system_u:system_r:container_t:s0"
    said = findings(runtime, bundle)
    assert ("impossible", "/process/selinuxLabel",
            "config provided but SELinux is not enabled on this host") in said  # fmt: skip


def test_a_namespace_that_is_not_there(runtime, bundle):
    for namespace in bundle.config["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = "/proc/self/ns/uts"
    [(verdict, pointer, text)] = findings(runtime, bundle)
    assert verdict == "impossible"
    assert pointer.startswith("/linux/namespaces/")
    assert text == '"/proc/self/ns/uts" is not a network namespace'


def test_a_limit_that_cannot_be_set(runtime, bundle):
    bundle.config["linux"]["resources"] = {"unified": {"no.such": "1"}}
    [(verdict, pointer, text)] = findings(runtime, bundle)
    assert (verdict, pointer.startswith("/linux/resources/unified")) == ("impossible", True)
    assert text


def test_the_difference_of_two_documents(runtime, bundle):
    bundle.write()
    before = pyrunc.plan(str(bundle.path))
    bundle.config["hostname"] = "another"
    bundle.config["mounts"][1]["options"].append("noexec")
    bundle.write()
    assert before.diff(before) == ""
    assert before.diff(pyrunc.plan(str(bundle.path))).splitlines() == [
        "-make the filesystem tmpfs, source tmpfs, options mode=755 size=65536k, "
        "attributes nosuid strictatime, the mode of /dev  [/mounts/1]",
        "+make the filesystem tmpfs, source tmpfs, options mode=755 size=65536k, "
        "attributes nosuid noexec strictatime, the mode of /dev  [/mounts/1]",
        "-set the host name runc  [/hostname]",
        "+set the host name another  [/hostname]",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config["process"].pop("cwd"), "/process"),
        (lambda config: config["root"].update(path="nosuch"), "no such file or directory"),
        (lambda config: config["mounts"].append({"destination": "/x"}), "a mount needs"),
    ],
)
def test_what_has_no_plan_is_refused_as_create_refuses_it(runtime, bundle, change, words):
    change(bundle.config)
    done = plan(runtime, bundle, check=False)
    made = runtime("create", "-b", str(bundle.path), runtime.new_id(), check=False)
    assert (done.returncode, made.returncode, done.stdout) == (1, 1, "")
    assert words in done.stderr
    said, created = (re.findall('msg="(.*)"', one.stderr)[0] for one in (done, made))
    assert created.endswith(said)


def test_a_bundle_that_is_not_there(runtime, tmp_path):
    done = runtime("plan", "-b", "/nosuch", check=False)
    assert (done.returncode, "no such file or directory" in done.stderr) == (1, True)
    done = runtime("plan", "-b", str(tmp_path), check=False)
    assert (done.returncode, "config.json not found" in done.stderr) == (1, True)
    done = runtime("plan", "an-argument", check=False)
    assert (done.returncode, "requires exactly 0 argument(s)" in done.stderr) == (1, True)
    with pytest.raises(TypeError, match=r"plan\(\) got an unexpected keyword argument 'keyring'"):
        pyrunc.plan(str(tmp_path), keyring=False)


def test_names_of_the_document_cannot_write_to_the_terminal(runtime, bundle):
    bundle.config["process"]["args"] = ["sh", "\x1b[2J"]
    bundle.config["hostname"] = "a\x1b]0;b"
    bundle.config["mounts"].append(
        {"destination": "/m", "source": "/no\x1bsuch\n", "options": ["bind"]}
    )
    bundle.config["linux"]["sysctl"] = {"net.a\x1bb": "1"}
    shown = plan(runtime, bundle, check=False).stdout
    assert "\x1b" not in shown
