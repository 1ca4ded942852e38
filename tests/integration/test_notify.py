# SPDX-License-Identifier: Apache-2.0
"""sd_notify(3) out of a container: READY, the pid, the barrier"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading

import pytest

SENDER = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, getenv("NOTIFY_SOCKET"), sizeof to.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    for (int i = 1; i < argc; i++)
        if (sendto(fd, argv[i], strlen(argv[i]), 0, (void *)&to, sizeof to) < 0)
            return 9;
    sleep(1);
    return 3;
}
"""


class Manager:
    """systemd's end: notes what it is told, and lets barriers go."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.told = []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.told or self.told[-1] != b"END":
            data, control, _, _ = self.socket.recvmsg(4096, 64)
            self.told.append(data)
            for _, _, fds in control:
                os.close(int.from_bytes(fds[:4], "little"))

    def end(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as me:
            me.sendto(b"END", self.path)
        self.thread.join(10)
        self.socket.close()
        return self.told[:-1]


@pytest.fixture
def ready(bundle, tmp_path):
    compiler = shutil.which("musl-gcc") or shutil.which("cc")
    source = tmp_path / "sender.c"
    source.write_text(SENDER)
    sender = str(bundle.rootfs / "sender")
    subprocess.run([compiler, "-static", "-o", sender, str(source)], check=True)
    return bundle.args("/sender", "STATUS=almost", "READY=1\nSTATUS=here")


def create(runtime, bundle, name, environment):
    """With streams that nobody waits for: the container keeps them."""
    words = ["create", "-b", str(bundle.path), name]
    with open(os.devnull, "r+b") as null:
        subprocess.run(
            [runtime.program, "--root", str(runtime.root), *words],
            check=True, stdin=null, stdout=null, stderr=null, env=environment,
        )  # fmt: skip


def test_start_waits_until_the_program_is_ready(runtime, ready, tmp_path):
    manager = Manager(tmp_path / "manager")
    environment = {"NOTIFY_SOCKET": manager.path}
    name = runtime.new_id()
    create(runtime, ready, name, environment)
    runtime("start", name, env=environment)
    pid = runtime.state(name)["pid"]
    assert manager.end() == [b"READY=1", b"MAINPID=%d" % pid, b"BARRIER=1"]
    runtime.until(name, "stopped")
    runtime("delete", name)


def test_the_socket_of_a_start_that_was_killed_is_no_obstacle(runtime, ready, tmp_path):
    manager = Manager(tmp_path / "manager")
    name = runtime.new_id()
    environment = {"NOTIFY_SOCKET": manager.path}
    create(runtime, ready, name, environment)
    directory = os.open(runtime.root / name / "notify", os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(f"/proc/self/fd/{directory}/notify.sock")  # its path is too long for bind(2)
    os.close(directory)
    runtime("start", name, env=environment)
    assert manager.end()[0] == b"READY=1"
    runtime("delete", "--force", name)


def test_a_program_that_says_much_before_it_is_ready(runtime, ready, tmp_path):
    manager = Manager(tmp_path / "manager")
    name = runtime.new_id()
    ready.args("/sender", *["STATUS=x"] * 3000, "READY=1")
    runtime("run", "-d", "-b", str(ready.path), name, env={"NOTIFY_SOCKET": manager.path})
    assert manager.end()[0] == b"READY=1"
    runtime("delete", "--force", name)


def test_a_program_that_dies_unready(runtime, ready, tmp_path):
    manager = Manager(tmp_path / "manager")
    name = runtime.new_id()
    ready.args("/bin/false")
    done = runtime("run", "-d", "-b", str(ready.path), name, env={"NOTIFY_SOCKET": manager.path})
    assert done.returncode == 0
    assert manager.end() == []
    runtime("delete", name)


def test_run_in_the_foreground_attends_meanwhile(runtime, ready, tmp_path):
    manager = Manager(tmp_path / "manager")
    done = runtime.run(ready, env={"NOTIFY_SOCKET": manager.path})
    assert done.returncode == 3
    told = manager.end()
    assert [told[0], told[-1]] == [b"READY=1", b"BARRIER=1"]
