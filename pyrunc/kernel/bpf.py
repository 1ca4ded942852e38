# SPDX-License-Identifier: Apache-2.0
"""BPF device programs of cgroups: attached in place of others. Must not know what a program
decides; cgroups/device_bpf does.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyrunc.kernel import calls


def replace_device_program(cgroup: int, code: bytes, old: Sequence[int]) -> int:
    """Load a program and attach it in place of others.

    The new one is there before an old one goes: at no time is everything allowed.

    Args:
        cgroup: descriptor of the cgroup.
        code: the program's instructions.
        old: ids of the programs to replace, all that are attached.

    Returns:
        The id of the new program.

    Raises:
        KernelError: of bpf(2).
    """
    # The cgroup holds a reference of its own.
    with calls.bpf_load(code) as program:
        number = calls.bpf_id(program.fileno())
        if len(old) == 1:
            with calls.bpf_open(old[0]) as replaced:
                calls.bpf_attach(cgroup, program.fileno(), replaced.fileno())
        else:
            calls.bpf_attach(cgroup, program.fileno())
            detach(cgroup, old)
        return number


def detach(cgroup: int, ids: Sequence[int]) -> None:
    """Detach programs from a cgroup.

    Args:
        cgroup: descriptor of the cgroup.
        ids: their ids.

    Raises:
        KernelError: of bpf(2).
    """
    for number in ids:
        with calls.bpf_open(number) as program:
            calls.bpf_detach(cgroup, program.fileno())
