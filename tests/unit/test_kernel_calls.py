# SPDX-License-Identifier: Apache-2.0
"""kernel.pidfd and kernel.rights, with processes and sockets of this process."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from pyrunc.kernel import pidfd, rights


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Descriptors that the test closes with its end."""
    fds: list[int] = []
    yield fds
    for fd in fds:
        os.close(fd)


def child(opened: list[int], *command: str) -> int:
    """A pidfd of a program that has just been started."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", *command], {})
    opened.append(os.pidfd_open(pid))
    return opened[0]


def test_an_exit_status_is_taken_once(opened: list[int]) -> None:
    fd = child(opened, "exit 7")
    assert pidfd.reap(fd, os.WNOWAIT) == (7, 0)
    assert pidfd.reap(fd) == (7, 0)
    assert pidfd.reap(fd) is None


def test_a_kill_is_told_from_an_exit_with_the_same_number(opened: list[int]) -> None:
    fd = child(opened, "exec sleep 1000")
    assert pidfd.reap(fd, os.WNOHANG) is None
    pidfd.kill(fd)
    assert pidfd.reap(fd) == (137, signal.SIGKILL)
    opened.append(fd := child([], "exit 137"))
    assert pidfd.reap(fd) == (137, 0)


def test_a_process_that_has_ended_gets_no_signal(opened: list[int]) -> None:
    fd = child(opened, "exit 0")
    pidfd.reap(fd)
    pidfd.send_signal(fd, signal.SIGTERM)
    pidfd.kill(fd)
    # Other errors are the caller's.
    with pytest.raises(OSError, match="Bad file descriptor"):
        pidfd.kill(-1)


def test_a_descriptor_arrives_close_on_exec(
    pair: tuple[socket.socket, socket.socket], opened: list[int]
) -> None:
    reader, writer = os.pipe()
    opened += [reader, writer]
    assert rights.send(pair[0], b"one", reader) == 3
    data, fds = rights.receive(pair[1], 64)
    opened += fds
    assert data == b"one"
    assert len(fds) == 1
    assert os.fstat(fds[0]).st_ino == os.fstat(reader).st_ino
    assert not os.get_inheritable(fds[0])


def test_of_more_descriptors_than_wanted_none_is_left_open(
    pair: tuple[socket.socket, socket.socket], opened: list[int]
) -> None:
    before = os.listdir("/proc/self/fd")
    socket.send_fds(pair[0], [b"three"], [0, 1, 2])
    data, fds = rights.receive(pair[1], 64)
    opened += fds
    assert (data, len(fds)) == (b"three", 1)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1


def test_data_without_a_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].send(b"none")
    assert rights.receive(pair[1], 64) == (b"none", [])
    pair[0].close()
    assert rights.receive(pair[1], 64) == (b"", [])
