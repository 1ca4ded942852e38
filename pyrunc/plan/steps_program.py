# SPDX-License-Identifier: Apache-2.0
"""Steps about the program and what runs beside it: hooks, the filter, descriptors, `start`."""

from enum import IntEnum

from pyrunc.plan.step import Bytes, Flag, Number, OptionalString, Register, Step, String, Strings


class Environment(Step):
    """The program's environment. The last variable is HOME where `passwd` is given, and then has
    the directory that this file of the container names for the uid, if it does."""

    variables: Strings
    passwd: OptionalString
    uid: Number


class LoaderCheck(IntEnum):
    """What is done about a program whose loader or interpreter is missing."""

    NONE = 0  # it is not looked for
    REFUSE = 1
    REMEMBER = 2  # its name, for execve's ENOENT


class FindProgram(Step):
    """Look args[0] up in the container's PATH, as execvp does; remember the file."""

    args: Strings
    path: String
    loader: LoaderCheck


class RunHook(Step):
    """Run a hook in this process's namespaces and wait for it."""

    path: String
    args: Strings
    env: Strings
    inherit: Flag
    timeout: Number
    state_before: String
    state_after: String
    name: String
    index: Number


class Listener(IntEnum):
    """What becomes of a filter's listener."""

    NONE = 0  # the filter has none
    NAMED = 1  # the parent is sent its number, and takes the descriptor
    SENT = 2  # the parent is sent the descriptor


class Seccomp(Step):
    program: Bytes
    flags: Number
    listener: Listener


class SendDirectory(Step):
    """Send the parent a directory of this mount namespace, open."""

    path: String


class InheritDescriptors(Step):
    """Let the program have these registers, at the numbers where they are."""

    first: Register
    count: Number


class CloseDescriptors(Step):
    """Close all but stdio, the preserved ones, the sync socket and the start fifo."""


class WaitStart(Step):
    """Block until `start` writes a byte into the fifo."""


class Execute(Step):
    """execve the program that FindProgram found."""
