# SPDX-License-Identifier: Apache-2.0
"""Compiles a seccomp profile with libseccomp: the only module that knows its binding, as calls.py
knows the C core's. A profile is an object shaped as `linux.seccomp`, checked before."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any, Protocol

from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel import constants as k
from pyrunc.kernel import seccomp_stub
from pyrunc.kernel._seccomp import ffi, lib

# SCMP_ACT_ERRNO and SCMP_ACT_TRACE of <seccomp.h>, macros with an argument.
_ERRNO, _TRACE = 0x00050000, 0x7FF00000
_ACTIONS = {
    "SCMP_ACT_KILL": lib.SCMP_ACT_KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": lib.SCMP_ACT_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": lib.SCMP_ACT_KILL_PROCESS,
    "SCMP_ACT_TRAP": lib.SCMP_ACT_TRAP,
    "SCMP_ACT_LOG": lib.SCMP_ACT_LOG,
    "SCMP_ACT_ALLOW": lib.SCMP_ACT_ALLOW,
    "SCMP_ACT_NOTIFY": lib.SCMP_ACT_NOTIFY,
}
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # one thread: nothing to synchronise
    "SECCOMP_FILTER_FLAG_LOG": k.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": k.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
}
# <linux/seccomp.h>; only together with a listener.
_NEW_LISTENER, _WAIT_KILLABLE_RECV = 1 << 3, 1 << 5
# With these as the default a profile says what is not allowed, and means nothing by silence.
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
_MANY_RULES = 32  # from here on a binary tree beats a list


class Argument(Protocol):
    """What an argument of a system call is compared with."""

    index: int
    op: str
    value: int
    valueTwo: int  # noqa: N815 (the specification's name)


class Rule(Protocol):
    """System calls with one action."""

    names: tuple[str, ...]
    action: str
    errnoRet: int | None  # noqa: N815

    @property
    def args(self) -> Sequence[Argument]: ...


class Profile(Protocol):
    """`linux.seccomp`, as far as it is compiled."""

    defaultAction: str  # noqa: N815
    defaultErrnoRet: int | None  # noqa: N815
    architectures: tuple[str, ...]

    @property
    def syscalls(self) -> Sequence[Rule]: ...


def version() -> str:
    """The version of the libseccomp that is loaded, "2.5.4"."""
    v = lib.seccomp_version()
    return f"{v.major}.{v.minor}.{v.micro}"


def flags(names: tuple[str, ...] | None, *, listens: bool = False) -> int:
    """The flags for seccomp(2). None, the property absent, means SPEC_ALLOW, as in runc.

    Args:
        names: as in config.json.
        listens: the filter has SCMP_ACT_NOTIFY.
    """
    found = _NEW_LISTENER if listens else 0
    if names is None:
        return found | k.SECCOMP_FILTER_FLAG_SPEC_ALLOW
    if listens and "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" in names:
        found |= _WAIT_KILLABLE_RECV
    return found | sum(int(_FLAGS.get(name, 0)) for name in set(names))


def _action(name: str, number: int | None) -> int:
    if name == "SCMP_ACT_ERRNO":
        return _ERRNO | (1 if number is None else number & 0xFFFF)
    if name == "SCMP_ACT_TRACE":
        return _TRACE | (1 if number is None else number & 0xFFFF)
    return int(_ACTIONS[name])


def compile_filter(profile: Profile) -> bytes:
    """A BPF program for seccomp(2).

    Args:
        profile: checked before.

    Raises:
        KernelError: libseccomp refused something; says which system call.
    """
    default = _action(profile.defaultAction, profile.defaultErrnoRet)
    context = lib.seccomp_init(default)
    if context == ffi.NULL:
        raise PyruncError("libseccomp cannot make a filter", pointer="/linux/seccomp/defaultAction")
    try:
        _add_architectures(context, profile.architectures)
        # The plan decides about no_new_privs; libseccomp must not set it by itself.
        result = lib.seccomp_attr_set(context, lib.SCMP_FLTATR_CTL_NNP, 0)
        if result < 0:
            raise KernelError("make a seccomp filter", "", -result, pointer="/linux/seccomp")
        if sum(len(rule.names) for rule in profile.syscalls) > _MANY_RULES:
            # libseccomp before 2.5 refuses it, and makes a list.
            lib.seccomp_attr_set(context, lib.SCMP_FLTATR_CTL_OPTIMIZE, 2)
        for index, rule in enumerate(profile.syscalls):
            _add_rule(context, rule, default, f"/linux/seccomp/syscalls/{index}")
        program = _export(context)
    finally:
        lib.seccomp_release(context)
    if profile.defaultAction in _PERMISSIVE or profile.defaultErrnoRet == errno.ENOSYS:
        return program
    return _with_stub(profile, program)


def _with_stub(profile: Profile, program: bytes) -> bytes:
    names = [name.encode() for rule in profile.syscalls for name in rule.names]
    tokens = [lib.seccomp_arch_native()]
    tokens += [_token(name) for name in profile.architectures]
    last: dict[int, int] = {}
    for token in tokens:
        numbers = (lib.seccomp_syscall_resolve_name_arch(token, name) for name in names)
        # Negative ones stand for calls that the architecture does not have.
        last[token] = max((number for number in numbers if number >= 0), default=-1)
    x32 = last.pop(lib.SCMP_ARCH_X32, None)
    known = {token: highest for token, highest in last.items() if highest >= 0}
    return seccomp_stub.in_front(program, known, x32 if x32 is not None and x32 >= 0 else None)


def _token(name: str) -> int:
    return int(lib.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode()))


def _add_architectures(context: Any, names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        token = _token(name)
        pointer = f"/linux/seccomp/architectures/{index}"
        if token == 0:
            raise PyruncError(
                f'libseccomp does not know the architecture "{name}"', pointer=pointer
            )
        result = lib.seccomp_arch_add(context, token)
        if result < 0 and -result != lib.EEXIST:
            raise KernelError("add the seccomp architecture", "", -result, name, pointer=pointer)


def _add_rule(context: Any, rule: Rule, default: int, pointer: str) -> None:
    action = _action(rule.action, rule.errnoRet)
    if action == default:
        return
    for name in rule.names:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number == lib.__NR_SCMP_ERROR:
            continue  # a system call that this libseccomp does not know cannot be made either
        for condition in _conditions(rule.args):
            result = lib.seccomp_rule_add_array(context, action, number, len(condition), condition)
            if result < 0:
                raise KernelError("add the seccomp rule for", "", -result, name, pointer=pointer)


# Above every number that a kernel has given out.
_NUMBERS = range(600)


def unknown(profile: Profile) -> list[tuple[int, int, str]]:
    """The names that libseccomp does not know: index of the rule, of the name, the name."""
    return [
        (index, place, name)
        for index, rule in enumerate(profile.syscalls)
        for place, name in enumerate(rule.names)
        if lib.seccomp_syscall_resolve_name(name.encode()) == lib.__NR_SCMP_ERROR
    ]


def known() -> list[str]:
    """All names that libseccomp knows on this machine."""
    found = []
    for number in _NUMBERS:
        name = lib.seccomp_syscall_resolve_num_arch(lib.seccomp_arch_native(), number)
        if name != ffi.NULL:
            found.append(ffi.string(name).decode())
            lib.free(name)
    return found


def _conditions(args: Sequence[Argument]) -> list[Any]:
    """All conditions hold together, unless one argument is named twice: then each alone."""
    compare = [(a.index, getattr(lib, a.op), a.value, a.valueTwo or 0) for a in args]
    if len({a.index for a in args}) == len(compare):
        return [ffi.new("struct scmp_arg_cmp[]", compare)]
    return [ffi.new("struct scmp_arg_cmp[]", [one]) for one in compare]


def _export(context: Any) -> bytes:
    """libseccomp 2.5 writes to a descriptor only."""
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        result = lib.seccomp_export_bpf(context, fd)
        if result < 0:
            raise KernelError("compile the seccomp profile", "", -result, pointer="/linux/seccomp")
        os.lseek(fd, 0, os.SEEK_SET)
        program = b""
        while chunk := os.read(fd, 1 << 16):
            program += chunk
        return program
    finally:
        os.close(fd)
