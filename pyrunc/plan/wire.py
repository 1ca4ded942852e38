# SPDX-License-Identifier: Apache-2.0
"""The wire format between the plan and `pyrunc-init`, in its one definition.

A plan is a header, one record a step, and the texts, little-endian as all machines of ours are. A
record is the operation, its size, and one 8-byte slot an argument; the slot of a text is a span,
(offset, length) from the start of the record. So a record is at the same time a C struct.
`csrc/init/plan_wire.h` is generated from this file and `steps.py` (`python -m pyrunc.plan.header`);
a test fails when they differ.

This module only describes; `encode.py` writes bytes, `csrc/init/plan.c` checks and reads them.
"""

from __future__ import annotations

from enum import IntEnum

MAGIC = 0x4E525950  # "PYRN" in memory order on a little-endian machine
VERSION = 2
MAX_BYTES = 8 << 20
MAX_STEPS = 1 << 16
MAX_REGISTERS = 1 << 14
RECORD_BYTES = 8
SLOT_BYTES = 8

# struct pr_header, by the letters of the struct module.
HEADER = (
    ("magic", "I"), ("version", "I"), ("total", "Q"), ("steps", "I"), ("registers", "I"),
    ("first_fd", "I"), ("passed_fds", "I"), ("strings", "I"), ("texts", "I"),
)  # fmt: skip
HEADER_BYTES = 40

# Kinds of argument. Letters, because the generated C table is a string a step.
NUMBER = "u"  # 64 bits; a negative one is two's complement
REGISTER = "r"  # index of a descriptor register, checked against the header's count
STRING = "s"  # a span: NUL-terminated, no NUL inside
OPTIONAL = "o"  # the same, or absent: offset 0
STRINGS = "l"  # a span of NUL-terminated strings, one after the other
BYTES = "b"  # a span of raw bytes, 8-byte aligned

# Fixed registers: what is open at the start of every plan. Those a plan allocates come after them.
REGISTERS = ("plan", "sync", "fifo", "root", "old_root", "procfs", "hook_output", "console")
PLAN, SYNC, FIFO, ROOT, OLD_ROOT, PROCFS, HOOK_OUTPUT, CONSOLE = range(len(REGISTERS))
FIRST_FREE = len(REGISTERS)


class Message(IntEnum):
    """What pyrunc-init reports to its parent (`kind` of struct pr_message)."""

    FAILURE = 0
    MAPS = 1
    FORKED = 2
    HOOKS = 3
    LIMITS = 4
    PARKED = 5
    CGROUP = 6
    CLOCKS = 7
    NETWORK = 8
    LISTENER = 9
    DIRECTORY = 10


MESSAGES = tuple(message.name.lower() for message in Message)
# struct pr_message: small and of a fixed size, after it at most a loader's name (MAX_TEXT); the
# parent treats all of it as hostile. The value is an exit status, an option's index or a pid, as
# the kind and the reason say.
MESSAGE = (
    ("kind", "I"), ("step", "I"), ("call", "I"), ("err", "i"), ("why", "I"), ("value", "i"),
)  # fmt: skip
# What the parent answers, one byte.
GO = b"G"

# The system calls that a failure can name. Their index travels, not their name.
CALLS = (
    "none", "capset", "chdir", "chmod", "chown", "clone3", "dup2", "execve", "fork",
    "fsconfig", "fsmount", "fsopen", "getcwd", "ioctl", "keyctl", "mkdir", "mknod",
    "mount_setattr", "move_mount", "open", "open_tree", "openat2", "pivot_root", "prctl",
    "read", "seccomp", "sendmsg", "setdomainname", "setgroups", "sethostname", "setns",
    "setresgid", "setresuid", "setsid", "socket", "stat", "statfs", "symlink", "umount",
    "unlink", "unshare", "waitid", "write", "mmap", "sched_setattr", "ioprio_set",
    "personality", "set_mempolicy", "chroot", "sched_setaffinity", "mount", "sigaction",
    "fcntl", "umask",
)  # fmt: skip

# The longest text after a message: the name of a program's loader, which only it can read.
MAX_TEXT = 256

# Why pyrunc-init refused something that no system call refused.
REASONS = (
    "none",
    "bad_plan",
    "not_a_directory",  # a mount point of proc or sysfs that is not a plain directory
    "inside_proc",  # a mount would land below /proc
    "not_procfs",  # a bind onto /proc whose source is not the root of a procfs
    "on_rootfs",  # a mount would cover the root filesystem itself
    "wrong_device",  # another file is where a device should be
    "not_null",  # /dev/null is not the null device
    "not_devpts",  # ptmx is not that of a devpts
    "cwd_outside",  # the working directory is not inside the container
    "locked_flags",  # a mount's flag is locked by the namespace that made it
    "hook_status",  # a hook exited with a status (value)
    "hook_signal",  # a hook was killed by a signal (value)
    "hook_timeout",  # a hook ran past its time-out
    "not_covered",  # what is at a masked path is not the mask
    "no_loader",  # a program names a loader or an interpreter that is not there (text)
)
