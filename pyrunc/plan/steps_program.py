# SPDX-License-Identifier: Apache-2.0
"""The steps at the end of every plan: hooks, the program, the wait for `start`."""

from __future__ import annotations

from pyrunc.plan.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.step import Number, Register, String, Strings


class Environment(Step):
    """The program's environment; HOME from the container's passwd where it is not given."""

    variables: Strings
    home_of: Number
    find_home: Number


class FindProgram(Step):
    """Look args[0] up in the container's PATH, as execvp does; remember the file.

    loader: 1 refuses a program whose loader or interpreter is missing, 2 remembers its name.
    """

    args: Strings
    path: String
    loader: Number


class RunHook(Step):
    """Run a hook in this process's namespaces and wait for it."""

    path: String
    args: Strings
    env: Strings
    inherit: Number
    timeout: Number
    state_before: String
    state_after: String
    name: String
    index: Number


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
