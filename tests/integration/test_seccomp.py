# SPDX-License-Identifier: Apache-2.0
"""Filters in force: their agent, what is newer than they are, what is kept of them."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import threading

import pytest

from tests.lib.support import SLOW, said

PROFILE = "/usr/share/containers/seccomp.json"
# struct seccomp_notif and struct seccomp_notif_resp, <linux/seccomp.h>.
_RECV, _SEND = 0xC0502100, 0xC0182101


class Agent:
    """Answers one system call with a number, and keeps what it was told."""

    def __init__(self, path, answer: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.answer = answer
        self.document: dict = {}
        self.served: list[int] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.socket.accept()
        fds = array.array("i")
        text, control, _, _ = connection.recvmsg(65536, 64)
        for _, _, data in control:
            fds.frombytes(data)
        while more := connection.recv(65536):
            text += more
        self.document = json.loads(text)
        connection.close()
        self.socket.close()
        (listener,) = fds
        try:
            while True:
                request = bytearray(80)
                fcntl.ioctl(listener, _RECV, request)
                number, pid = struct.unpack_from("=QI", request)
                self.served.append(pid)
                fcntl.ioctl(listener, _SEND, struct.pack("=QqiI", number, 0, -self.answer, 0))
        except OSError:
            os.close(listener)  # the container has ended


RECEIVER = "run.oci.seccomp.receiver"


@pytest.mark.parametrize(("confined", "annotated"), [(True, False), (False, False), (True, True)])
def test_an_agent_answers(runtime, bundle, tmp_path, confined, annotated):
    agent = Agent(tmp_path / "agent", errno.ENOTBLK)
    bundle.config["process"]["noNewPrivileges"] = confined
    path = str(tmp_path / "agent")
    bundle.config["annotations"] = {RECEIVER: path} if annotated else {}
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        **({} if annotated else {"listenerPath": path}),
        "listenerMetadata": "what for",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    }
    text = said(runtime, bundle, "mkdir /dev/new 2>&1; test -e /dev/new || echo none; true")
    assert "Block device required" in text
    assert "none" in text
    document = agent.document
    assert document["fds"] == ["seccompFd"]
    assert document["metadata"] == "what for"
    assert document["state"]["status"] == "creating"
    assert document["state"]["id"] == runtime.ids[-1]
    assert document["state"]["pid"] == document["pid"] > 0
    assert len(agent.served) == 1


@pytest.mark.parametrize("size", [10, 300_000])
def test_an_agent_that_closes_after_one_message(runtime, bundle, tmp_path, size):
    """It has the descriptor then; what it does not want to read is not an error."""

    class Hasty(Agent):
        def serve(self) -> None:
            connection, _ = self.socket.accept()
            fds = array.array("i")
            _, control, _, _ = connection.recvmsg(16, 64)
            connection.close()
            self.socket.close()
            for _, _, data in control:
                fds.frombytes(data)
            self.served += fds

    for count in range(5):
        agent = Hasty(tmp_path / f"agent{count}", errno.ENOTBLK)
        bundle.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
            "listenerPath": str(tmp_path / f"agent{count}"),
            "listenerMetadata": "x" * size,
        }
        bundle.write()
        runtime.create(bundle)
        agent.thread.join(10 * SLOW)
        assert len(agent.served) == 1
        os.close(agent.served[0])


def test_an_agent_that_hears_nothing(runtime, bundle, tmp_path):
    """A socket nobody listens to: the call that failed is named."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "agent"))
        bundle.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
            "listenerPath": str(tmp_path / "agent"),
        }
        bundle.write()
        done = runtime("create", "-b", str(bundle.path), runtime.new_id(), check=False)
    assert done.returncode == 1
    assert "connect: connection refused" in done.stderr


def test_an_annotation_without_a_rule_to_tell_of(runtime, bundle, tmp_path):
    bundle.config["annotations"] = {RECEIVER: str(tmp_path / "agent")}
    done = runtime.run(bundle.write())
    assert done.returncode == 0
    assert f"/annotations/{RECEIVER}: nothing is sent there" in done.stderr


@pytest.mark.parametrize("annotated", [False, True])
def test_an_agent_that_is_not_there(runtime, bundle, tmp_path, annotated):
    path = str(tmp_path / "nobody")
    bundle.config["annotations"] = {RECEIVER: path} if annotated else {}
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        **({} if annotated else {"listenerPath": path}),
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "send the seccomp listener to" in done.stderr
    assert "[/linux/seccomp/listenerPath]" in done.stderr
    assert not os.listdir(runtime.root) or os.listdir(runtime.root) == [":seccomp"]


def test_a_misspelt_system_call_is_a_warning(runtime, bundle):
    """Each time; a name that is merely unknown to this libseccomp is none."""
    names = ["mkdirr", "openat", "quite_new_call", "fchmodat9"]
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_LOG"}],
    }
    bundle.args("/bin/true")
    for _ in range(2):
        done = runtime.run(bundle)
        assert done.returncode == 0
        assert "/linux/seccomp/syscalls/0/names/0: " in done.stderr
        assert done.stderr.count("level=warning") == 1
        assert 'is it \\"mkdir\\"?' in done.stderr


PROBE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* Each call in a child of its own, with arguments that no call can use: what matters is whether
 * the filter answers (EPERM or ENOSYS before any argument is looked at), kills, or lets pass. */
int main(int argc, char **argv)
{
    for (int nr = atoi(argv[1]); nr < atoi(argv[2]); nr++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(1);
            errno = 0;
            long r = syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
            int e = errno;
            _exit(r == -1 && (e == EPERM || e == ENOSYS) ? e : 200);
        }
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status))
            printf("%d signal %d\n", nr, WTERMSIG(status));
        else
            printf("%d %d\n", nr, WEXITSTATUS(status));
        fflush(stdout);
    }
    return argc == 0;
}
"""


@pytest.fixture
def docker_profile():
    """As an engine compiles it for a container without added capabilities."""
    if not os.path.exists(PROFILE):
        pytest.skip("needs golang-github-containers-common")
    with open(PROFILE) as file:
        raw = json.load(file)
    rules = [
        {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
        for rule in raw["syscalls"]
        if not rule.get("includes", {}).get("caps") and not rule.get("excludes", {}).get("caps")
    ]
    made = {key: raw[key] for key in ("defaultAction", "defaultErrnoRet") if raw.get(key)}
    made |= {"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]}
    return made | {"syscalls": rules}


def test_every_call_under_dockers_profile_is_as_under_runc(
    runtime, bundle, docker_profile, tmp_path
):
    """Over 460 calls, those that do not exist among them."""
    source = tmp_path / "probe.c"
    source.write_text(PROBE)
    probe = str(bundle.rootfs / "probe")
    subprocess.run(["cc", "-O2", "-static", "-o", probe, str(source)], check=True)
    # A profile without an errno of its own: then ENOSYS for newer calls is the runtime's doing.
    docker_profile.pop("defaultErrnoRet", None)
    bundle.config["linux"]["seccomp"] = docker_profile
    bundle.config["process"]["capabilities"].pop("ambient", None)
    tables = []
    for program in (runtime.program, "runc"):
        runtime.program = program
        bundle.args("/probe", "0", "470")
        done = runtime("run", "-b", str(bundle.path), runtime.new_id(), timeout=120)
        tables.append(dict(line.split(" ", 1) for line in done.stdout.splitlines()))
    ours, theirs = tables
    assert len(ours) == 470
    denied = [nr for nr, answer in ours.items() if answer in ("1", "38")]
    assert 60 < len(denied) < 400
    assert ours["469"] == "38"
    # What a call itself answers to such arguments may differ from one moment to the next.
    unlike = {
        nr: (ours[nr], theirs[nr])
        for nr in ours
        if (ours[nr] in ("1", "38")) != (theirs[nr] in ("1", "38"))
        or (ours[nr] in ("1", "38") and ours[nr] != theirs[nr])
    }
    assert unlike == {}


def test_a_filter_is_compiled_once(runtime, bundle, docker_profile):
    bundle.config["linux"]["seccomp"] = docker_profile
    assert said(runtime, bundle, "echo first") == "first\n"
    (kept,) = (runtime.root / ":seccomp").iterdir()
    before = kept.stat()
    assert (before.st_mode & 0o7777, before.st_uid) == (0o600, 0)
    assert said(runtime, bundle, "echo second") == "second\n"
    assert kept.stat().st_ino == before.st_ino
    # Another profile has another name; and the ids of containers have none with a colon.
    docker_profile["syscalls"][0]["names"].append("mkdir")
    docker_profile["defaultErrnoRet"] = 5
    assert said(runtime, bundle, "echo third") == "third\n"
    assert len(list(kept.parent.iterdir())) == 2
    assert runtime("list", "-q").stdout == ""


def test_a_kept_filter_that_others_could_write_is_not_used(runtime, bundle):
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 15}],
    }
    script = "mkdir /dev/new 2>&1; true"
    assert "Block device required" in said(runtime, bundle, script)
    (kept,) = (runtime.root / ":seccomp").iterdir()
    kept.write_bytes(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
    kept.chmod(0o666)
    assert "Block device required" in said(runtime, bundle, script)


@pytest.mark.parametrize("how", ["owner", "mode", "link"])
def test_filters_that_others_could_have_renamed_are_not_used(runtime, bundle, tmp_path, how):
    """Whole and ours, but another profile's: who can write to the directory gives it this name."""
    refuse = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 15}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse]}
    script = "mkdir /dev/new 2>&1; true"
    assert "Block device required" in said(runtime, bundle, script)
    (strict,) = (runtime.root / ":seccomp").iterdir()
    refuse["names"] = ["acct"]
    assert said(runtime, bundle, script) == ""
    (lax,) = set(strict.parent.iterdir()) - {strict}
    lax.rename(strict)
    if how == "owner":
        os.chown(strict.parent, 1000, 1000)
    elif how == "mode":
        strict.parent.chmod(0o777)
    else:
        strict.parent.rename(tmp_path / "elsewhere")
        strict.parent.symlink_to(tmp_path / "elsewhere")
    refuse["names"] = ["mkdir", "mkdirat"]
    assert "Block device required" in said(runtime, bundle, script)


def test_flags(runtime, bundle):
    """With SPEC_ALLOW speculation is not mitigated; without flags it is, where the CPU can."""
    prctl = ctypes.CDLL(None).prctl
    if prctl(52, 0, 0, 0, 0) & 1 == 0:  # PR_GET_SPECULATION_CTRL, PR_SPEC_PRCTL
        pytest.skip("this processor has no such switch")
    script = "grep Speculation_Store_Bypass /proc/self/status"
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}  # fmt: skip
    bundle.config["linux"]["seccomp"] = seccomp
    allowed = said(runtime, bundle, script)
    seccomp["flags"] = []
    assert isinstance(said(runtime, bundle, script), str)
    assert "mitigated" not in allowed


@pytest.mark.parametrize(
    ("confined", "call"), [(True, "write"), (False, "write"), (False, "capset")]
)
def test_a_profile_that_kills_init_is_named(runtime, bundle, confined, call):
    bundle.config["process"]["noNewPrivileges"] = confined
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": [call], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "the seccomp profile killed container init (SIGSYS)" in done.stderr
    assert call in done.stderr
    assert "[/linux/seccomp]" in done.stderr
    assert os.listdir(runtime.root) == [":seccomp"]
