# SPDX-License-Identifier: Apache-2.0
"""kernel.descriptor, pidfd and rights, with processes and sockets of this process."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from pyrunc.kernel import rights
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.kernel.pidfd import PidFd


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def child(*command: str) -> PidFd:
    """A program that has just been started."""
    return PidFd.of(os.posix_spawn("/bin/sh", ["sh", "-c", *command], {}))


def is_open(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


def test_a_descriptor_is_closed_once() -> None:
    with opened("/dev/null") as file:
        fd = file.fileno()
        assert not os.get_inheritable(fd)
        assert file.is_open
    assert not is_open(fd)
    assert (file.is_open, file.fileno()) == (False, -1)
    other = opened("/dev/null")
    assert other.fileno() == fd, "the number is free again"
    file.close()
    assert is_open(fd), "it is another one's now"


def test_a_descriptor_goes_with_its_object_unless_it_was_taken() -> None:
    file = opened("/dev/null")
    fd = file.fileno()
    del file
    assert not is_open(fd)
    file = opened("/dev/null")
    fd = file.take()
    del file
    assert is_open(fd)
    os.close(fd)
    with Descriptor() as none:
        assert not none.is_open


def test_an_exit_status_is_taken_once() -> None:
    with child("exit 7") as process:
        assert process.reap(os.WNOWAIT) == (7, 0)
        assert process.reap() == (7, 0)
        assert process.reap() is None


def test_a_kill_is_told_from_an_exit_with_the_same_number() -> None:
    with child("exec sleep 1000") as process:
        assert not process.has_ended()
        assert process.reap(os.WNOHANG) is None
        process.kill()
        assert process.has_ended(None)
        assert process.reap() == (137, signal.SIGKILL)
    with child("exit 137") as process:
        assert process.reap() == (137, 0)


def test_a_process_that_has_ended_gets_no_signal() -> None:
    with child("exit 0") as process:
        process.reap()
        process.send_signal(signal.SIGTERM)
        process.kill()
    # Other errors are the caller's.
    with pytest.raises(OSError, match="Bad file descriptor"):
        process.kill()


def test_a_descriptor_arrives_close_on_exec(pair: tuple[socket.socket, socket.socket]) -> None:
    with opened("/dev/null") as file:
        assert rights.send(pair[0], b"one", file.fileno()) == 3
        data, (found,) = rights.receive(pair[1], 64)
        with found:
            assert data == b"one"
            assert os.fstat(found.fileno()).st_ino == os.fstat(file.fileno()).st_ino
            assert not os.get_inheritable(found.fileno())


def test_of_more_descriptors_than_wanted_none_is_left_open(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    before = os.listdir("/proc/self/fd")
    socket.send_fds(pair[0], [b"three"], [0, 1, 2])
    data, found = rights.receive(pair[1], 64)
    assert (data, len(found)) == (b"three", 1)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1


def test_data_without_a_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].send(b"none")
    assert rights.receive(pair[1], 64) == (b"none", [])
    pair[0].close()
    assert rights.receive(pair[1], 64) == (b"", [])
