# SPDX-License-Identifier: Apache-2.0
"""The rules about `process`: of a container and of a process that joins one.

It must not look at the caller's privileges: what a caller may not do, the kernel refuses.
"""

from __future__ import annotations

from pyrunc.errors import SpecError
from pyrunc.spec.model import Capabilities, IOPriority, Process, Rlimit, Scheduler, User
from pyrunc.spec.names import (
    CAPABILITIES,
    IOPRIO_CLASSES,
    RLIMITS,
    SCHED_FLAGS,
    SCHED_POLICIES,
)

# execve(2): the kernel takes at most three quarters of 8 MiB, whatever RLIMIT_STACK says.
MAX_ARGUMENT_BYTES = 6 << 20
# setgroups(2): NGROUPS_MAX.
MAX_GROUPS = 65536
MAX_UMASK = 0o777
# Their names become keys, as those of an object's members (jsontext.MAX_NAMES).
MAX_VARIABLES = 65536
# (uid_t) -1: no id (credentials(7)).
NO_ID = 2**32 - 1
OOM_SCORE_LIMIT = 1000
_KNOWN_CAPABILITIES = frozenset(CAPABILITIES)


def check_process(process: Process, base: str, warnings: list[str]) -> None:
    """Check one process.

    Args:
        process: the decoded process.
        base: its JSON pointer, "" when it is the document.
        warnings: what is odd but not wrong is appended here.

    Raises:
        SpecError: the first broken rule.
    """
    # The four texts that callers know come first, in runc's words.
    if not process.cwd:
        raise SpecError("Cwd property must not be empty", pointer=f"{base}/cwd")
    if process.cwd[0] != "/":
        raise SpecError("Cwd must be an absolute path", pointer=f"{base}/cwd")
    if not process.args:
        raise SpecError("args must not be empty", pointer=f"{base}/args")
    _check_env(process.env, f"{base}/env")
    size = sum(map(len, process.args)) + sum(map(len, process.env))
    if size > MAX_ARGUMENT_BYTES:
        raise SpecError(
            f"args and env hold {size} bytes, the kernel takes {MAX_ARGUMENT_BYTES} at most",
            pointer=f"{base}/args",
        )
    umask = process.user.umask
    if umask is not None and umask > MAX_UMASK:
        # As umask(2) has it.
        process.user.umask = umask & MAX_UMASK
        warnings.append(f"{base}/user/umask: 0o{umask:o} is taken for 0o{umask & MAX_UMASK:o}")
    _check_ids(process.user, f"{base}/user")
    if len(process.user.additionalGids) > MAX_GROUPS:
        raise SpecError(
            f"{len(process.user.additionalGids)} groups, the kernel takes {MAX_GROUPS} at most",
            pointer=f"{base}/user/additionalGids",
        )
    if process.capabilities:
        _check_capabilities(process.capabilities, f"{base}/capabilities", warnings)
    _check_rlimits(process.rlimits, f"{base}/rlimits")
    score = process.oomScoreAdj
    if score is not None and not -OOM_SCORE_LIMIT <= score <= OOM_SCORE_LIMIT:
        raise SpecError(f"must be from -1000 to 1000, not {score}", pointer=f"{base}/oomScoreAdj")
    if process.scheduler:
        _check_scheduler(process.scheduler, f"{base}/scheduler")
    if process.ioPriority:
        _check_io_priority(process.ioPriority, f"{base}/ioPriority", warnings)


def _check_ids(user: User, base: str) -> None:
    named = {"uid": user.uid, "gid": user.gid}
    named |= {f"additionalGids/{i}": gid for i, gid in enumerate(user.additionalGids)}
    for name, value in named.items():
        # A library's caller may give anything; setresuid(2) takes -1 for "as it is": root.
        if not isinstance(value, int) or not 0 <= value < NO_ID:
            raise SpecError(f"must be from 0 to {NO_ID - 1}, not {value}", pointer=f"{base}/{name}")


def _check_env(env: tuple[str, ...], base: str) -> None:
    if len(env) > MAX_VARIABLES:
        what = f"{len(env)} variables, at most {MAX_VARIABLES} are allowed"
        raise SpecError(what, pointer=base)
    for index, entry in enumerate(env):
        if entry.find("=") > 0:
            continue
        # Not the entry itself: it may be a password.
        what = "has no name before the" if entry.startswith("=") else "has no"
        raise SpecError(f'{what} "="', pointer=f"{base}/{index}", hint="write NAME=value")


def _check_capabilities(capabilities: Capabilities, base: str, warnings: list[str]) -> None:
    given = (one for name in capabilities.FIELDS for one in getattr(capabilities, name))
    for capability in dict.fromkeys(given):
        if capability not in _KNOWN_CAPABILITIES:
            # A capability that cannot be granted is not an error: runtime.md, config.md.
            warnings.append(f'{base}: unknown capability "{capability}" ignored')
    # Without these the kernel refuses to raise it (capabilities(7)), and peers go on as well.
    raisable = set(capabilities.permitted) & set(capabilities.inheritable)
    lost = [name for name in capabilities.ambient if name in CAPABILITIES and name not in raisable]
    if lost:
        warnings.append(
            f"{base}/ambient: cannot be raised, being not both permitted and inheritable:"
            f" {', '.join(dict.fromkeys(lost))}"
        )


def _check_rlimits(rlimits: tuple[Rlimit, ...], base: str) -> None:
    seen = set()
    for index, rlimit in enumerate(rlimits):
        where = f"{base}/{index}"
        if rlimit.type not in RLIMITS:
            raise SpecError(
                f'unknown resource limit "{rlimit.type}"',
                pointer=f"{where}/type",
                hint='names look like "RLIMIT_NOFILE"',
            )
        if rlimit.type in seen:
            # Required by config.md; runc, crun and youki do not look.
            raise SpecError(f"{rlimit.type} is set twice", pointer=f"{where}/type")
        seen.add(rlimit.type)
        if rlimit.soft > rlimit.hard:
            raise SpecError(
                f"the soft limit {rlimit.soft} is above the hard limit {rlimit.hard}",
                pointer=f"{where}/soft",
            )


def _check_scheduler(scheduler: Scheduler, base: str) -> None:
    policy = scheduler.policy
    if policy not in SCHED_POLICIES:
        raise SpecError(f'unknown scheduling policy "{policy}"', pointer=f"{base}/policy")
    nice = scheduler.nice or 0
    if policy in ("SCHED_OTHER", "SCHED_BATCH") and not -20 <= nice <= 19:
        raise SpecError(f"must be from -20 to 19, not {nice}", pointer=f"{base}/nice")
    if scheduler.priority and policy not in ("SCHED_FIFO", "SCHED_RR"):
        raise SpecError(
            f"only SCHED_FIFO and SCHED_RR have a priority, not {policy}",
            pointer=f"{base}/priority",
        )
    for index, flag in enumerate(scheduler.flags):
        if flag not in SCHED_FLAGS:
            raise SpecError(f'unknown scheduler flag "{flag}"', pointer=f"{base}/flags/{index}")
    if policy == "SCHED_DEADLINE":
        return
    for name in ("runtime", "deadline", "period"):
        if getattr(scheduler, name):
            raise SpecError(
                f"only SCHED_DEADLINE has a {name}, not {policy}", pointer=f"{base}/{name}"
            )


def _check_io_priority(priority: IOPriority, base: str, warnings: list[str]) -> None:
    if priority.class_ not in IOPRIO_CLASSES:
        raise SpecError(f'unknown I/O class "{priority.class_}"', pointer=f"{base}/class")
    if priority.priority is None:
        warnings.append(f"{base}: has no priority, which counts as 0")
    elif not 0 <= priority.priority <= 7:
        raise SpecError(f"must be from 0 to 7, not {priority.priority}", pointer=f"{base}/priority")
