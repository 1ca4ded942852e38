# SPDX-License-Identifier: Apache-2.0
"""Talks to CRIU as `criu swrk` wants it: one request, notifications, one answer (criu.org, RPC).

The messages are protocol buffers of criu's rpc.proto. Its library is not among our packages, and
of the format we need numbers, texts and messages within messages: the functions below are all of
it. Knows nothing of OCI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from socket import socket

from pyrunc.errors import CriuError, reported
from pyrunc.kernel import rights
from pyrunc.kernel.descriptor import Descriptor

# A field's number and its value; one that repeats is there more than once.
Value = int | str | list["Field"]
Field = tuple[int, Value]
# Gets a notification's name, its pid or 0, and the descriptors that came along.
Notified = Callable[[str, int, list[Descriptor]], None]

TYPES = ("EMPTY", "DUMP", "RESTORE", "CHECK", "PRE_DUMP", "PAGE_SERVER", "NOTIFY")
EMPTY, DUMP, RESTORE, CHECK, PRE_DUMP, PAGE_SERVER, NOTIFY = range(len(TYPES))

# criu_opts, by the names that criu's own command line has.
OPTIONS = {
    "images_dir_fd": 1, "pid": 2, "leave_running": 3, "ext_unix_sk": 4, "tcp_established": 5,
    "evasive_devices": 6, "shell_job": 7, "file_locks": 8, "log_level": 9, "log_file": 10,
    "page_server": 11, "notify_scripts": 12, "root": 13, "parent_img": 14, "track_mem": 15,
    "auto_dedup": 16, "work_dir_fd": 17, "link_remap": 18, "ext_mnt": 23, "manage_cgroups": 24,
    "cg_root": 25, "rst_sibling": 26, "inherit_fd": 27, "manage_cgroups_mode": 34,
    "external": 37, "empty_ns": 38, "join_ns": 39, "freeze_cgroup": 44, "tcp_skip_in_flight": 46,
    "lazy_pages": 48, "status_fd": 49, "orphan_pts_master": 50, "config_file": 51,
    "tcp_close": 52, "lsm_profile": 53, "lsm_mount_context": 63,
}  # fmt: skip
# criu_req, criu_resp and criu_notify.
_TYPE, _OPTS, _NOTIFY_SUCCESS = 1, 2, 3
_SUCCESS, _RESTORED, _NOTIFICATION, _ERRNO, _MESSAGE = 2, 4, 5, 7, 9
_SCRIPT, _PID = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LARGEST = 10 * 4096
_MOST_DESCRIPTORS = 12


def encode(fields: Iterable[Field]) -> bytes:
    """A message; numbers are signed 64-bit at most, texts are UTF-8."""
    data = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            data += _varint(number << 3 | _VARINT) + _varint(value & (1 << 64) - 1)
            continue
        inner = (
            value.encode("utf-8", "surrogateescape") if isinstance(value, str) else encode(value)
        )
        data += _varint(number << 3 | _BYTES) + _varint(len(inner)) + inner
    return bytes(data)


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def decode(data: bytes) -> dict[int, int | bytes]:
    """The fields of a message; of one that repeats the last. Messages within stay bytes.

    Raises:
        ValueError: it is not a valid message.
    """
    fields: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            fields[key >> 3], at = _read_varint(data, at)
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field is cut")
        fields[key >> 3] = data[at : at + size]
        at += size
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number is cut")


def options(**wanted: Value | None) -> list[Field]:
    """Fields of criu_opts by name; None, 0, "" and False are left out."""
    return [(OPTIONS[name], value) for name, value in wanted.items() if value]


def request(
    connection: socket,
    kind: int,
    fields: list[Field],
    notified: Notified,
) -> int:
    """Ask CRIU for one thing, and wait until it is done.

    Args:
        connection: a SOCK_SEQPACKET socket whose other end `criu swrk` has.
        kind: DUMP, PRE_DUMP or RESTORE.
        fields: of criu_opts.
        notified: called with each notification's name, its pid or 0, and descriptors that came
            along, lent; CRIU goes on when it returns.

    Returns:
        The pid of the restored process, 0 for another kind.

    Raises:
        CriuError: it could not be done; why is in CRIU's log.
    """
    try:
        connection.send(encode([(_TYPE, kind), (_OPTS, fields)]))
        while True:
            answer, sent = _receive(connection)
            if _number(answer, _TYPE) != NOTIFY:
                break
            inner = answer.get(_NOTIFICATION, b"")
            notification = decode(inner) if isinstance(inner, bytes) else {}
            script = notification.get(_SCRIPT, b"")
            name = script.decode(errors="replace") if isinstance(script, bytes) else ""
            _serve(notified, name, _number(notification, _PID), sent)
            connection.send(encode([(_TYPE, NOTIFY), (_NOTIFY_SUCCESS, 1)]))
    except (OSError, ValueError) as error:
        raise CriuError("", 0, f"no answer ({error})") from None
    restored = answer.get(_RESTORED, b"")
    return _number(decode(restored), 1) if isinstance(restored, bytes) and restored else 0


def _serve(notified: Notified, name: str, pid: int, sent: list[Descriptor]) -> None:
    """What fails there is ours, and not CRIU's."""
    with reported(f"serve criu's {name}", ""), ExitStack() as owned:
        for descriptor in sent:
            owned.enter_context(descriptor)
        notified(name, pid, sent)


def _receive(connection: socket) -> tuple[dict[int, int | bytes], list[Descriptor]]:
    data, sent = rights.receive(connection, _LARGEST, _MOST_DESCRIPTORS)
    if not data:
        raise CriuError("", 0, "it ended without an answer")
    answer = decode(data)
    if not _number(answer, _SUCCESS):
        words = answer.get(_MESSAGE, b"")
        message = words.decode(errors="replace") if isinstance(words, bytes) else ""
        kind = _number(answer, _TYPE)
        name = TYPES[kind] if kind < len(TYPES) else str(kind)
        raise CriuError(name, _number(answer, _ERRNO), message)
    return answer, sent


def _number(fields: dict[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    return value if isinstance(value, int) else 0
