# SPDX-License-Identifier: Apache-2.0
"""The rules about `linux.seccomp`.

Which system call names and flags the installed libseccomp and kernel know is not checked here.
"""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.spec.model_linux import Seccomp, Syscall
from pyrunc.spec.names import (
    SECCOMP_ACTIONS,
    SECCOMP_ARCHES,
    SECCOMP_FLAGS,
    SECCOMP_OPERATORS,
)

# seccomp(2): the return value has 16 bits for it (SECCOMP_RET_DATA).
MAX_ERRNO = 0xFFFF
MAX_ARGUMENT = 5
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_WAIT_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"


def check_seccomp(seccomp: Seccomp, base: str, warnings: list[str]) -> None:
    """Check one filter.

    Args:
        seccomp: the decoded object.
        base: its JSON pointer.
        warnings: what is odd but not wrong is appended here.

    Raises:
        SpecError: the first broken rule.
    """
    action = seccomp.defaultAction
    if not action:
        raise SpecError("must not be empty when there are rules", pointer=f"{base}/defaultAction")
    _check_action(action, f"{base}/defaultAction")
    _check_errno(action, seccomp.defaultErrnoRet, f"{base}/defaultErrnoRet")
    if action == "SCMP_ACT_NOTIFY":
        # The process that sends the listener's descriptor would wait for that listener.
        raise SpecError(
            "SCMP_ACT_NOTIFY cannot be the default action", pointer=f"{base}/defaultAction"
        )
    _check_known(seccomp.architectures, SECCOMP_ARCHES, "architecture", f"{base}/architectures")
    _check_known(seccomp.flags or (), SECCOMP_FLAGS, "seccomp flag", f"{base}/flags")
    for index, syscall in enumerate(seccomp.syscalls):
        _check_syscall(syscall, f"{base}/syscalls/{index}", warnings)
    notifies = seccomp.notifies
    if notifies and not seccomp.listenerPath:
        raise SpecError("is required by SCMP_ACT_NOTIFY", pointer=f"{base}/listenerPath")
    if seccomp.listenerMetadata and not seccomp.listenerPath:
        raise SpecError("must not be set without listenerPath", pointer=f"{base}/listenerMetadata")
    if _WAIT_KILLABLE in (seccomp.flags or ()) and not notifies:
        warnings.append(f"{base}/flags: {_WAIT_KILLABLE} does nothing without SCMP_ACT_NOTIFY")


def _check_known(values: tuple[str, ...], known: tuple[str, ...], what: str, base: str) -> None:
    for index, value in enumerate(values):
        if value not in known:
            raise SpecError(f'unknown {what} "{value}"', pointer=f"{base}/{index}")


def _check_action(action: str, where: str) -> None:
    if action not in SECCOMP_ACTIONS:
        raise SpecError(
            f'unknown seccomp action "{action}"',
            pointer=where,
            hint=f"one of {', '.join(SECCOMP_ACTIONS)}",
        )


def _check_errno(action: str, value: int | None, where: str) -> None:
    if value is None:
        return
    if action not in _WITH_ERRNO:
        # config-linux.md asks for this error; runc ignores the number instead.
        raise SpecError(
            f"only SCMP_ACT_ERRNO and SCMP_ACT_TRACE use it, not {action}", pointer=where
        )
    if value > MAX_ERRNO:
        raise SpecError(f"must be at most {MAX_ERRNO}, not {value}", pointer=where)


def _check_syscall(syscall: Syscall, where: str, warnings: list[str]) -> None:
    if not syscall.names:
        warnings.append(f"{where}/names: a rule without names does nothing")
    if not all(syscall.names):
        raise SpecError("must not be empty", pointer=f"{where}/names/{syscall.names.index('')}")
    _check_action(syscall.action, f"{where}/action")
    _check_errno(syscall.action, syscall.errnoRet, f"{where}/errnoRet")
    if syscall.action == "SCMP_ACT_NOTIFY" and "write" in syscall.names:
        # pyrunc-init itself writes between loading the filter and the listener's answer.
        raise SpecError(
            'SCMP_ACT_NOTIFY cannot be used for "write"',
            pointer=f"{where}/names/{syscall.names.index('write')}",
        )
    for index, argument in enumerate(syscall.args):
        if argument.index > MAX_ARGUMENT:
            raise SpecError(
                f"a system call has arguments 0 to 5, not {argument.index}",
                pointer=f"{where}/args/{index}/index",
            )
        if argument.op not in SECCOMP_OPERATORS:
            raise SpecError(
                f'unknown operator "{argument.op}"',
                pointer=f"{where}/args/{index}/op",
                hint=f"one of {', '.join(SECCOMP_OPERATORS)}",
            )
