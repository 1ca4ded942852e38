# SPDX-License-Identifier: Apache-2.0
"""Describes the two cffi modules (API mode) to setuptools.

`_core` is what every command needs; `_seccomp` is a module of its own because loading
libseccomp costs every process that does not filter anything.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
# cffi's own generated code is not ours to clean.
FLAGS += ["-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-sign-compare"]

_INCLUDES = "#include <stddef.h>\n#include <stdint.h>\n"


def _module(
    name: str, sources: list[Path], cdefs: list[Path], preamble: str, **options: object
) -> FFI:
    ffi = FFI()
    for cdef in cdefs:
        ffi.cdef(cdef.read_text())
    ffi.set_source(
        name,
        _INCLUDES + preamble,
        sources=[str(s.relative_to(HERE.parent)) for s in sources],
        # For "names" only: <spawn.h> is the C library's.
        extra_compile_args=[*FLAGS, "-iquote", "csrc/core"],
        **options,
    )
    return ffi


def core() -> FFI:
    """`pyrunc.kernel._core`: spawning, device filters, small system calls, constants."""
    areas = sorted(p for p in (HERE / "core").glob("*.c"))
    headers = [p.with_suffix(".h") for p in areas]
    preamble = '#include "constants.h"\n' + "".join(f'#include "{h.name}"\n' for h in headers)
    cdefs = [*headers, HERE / "core" / "constants.cdef"]
    return _module("pyrunc.kernel._core", areas, cdefs, preamble)


def seccomp() -> FFI:
    """`pyrunc.kernel._seccomp`: libseccomp as it is."""
    return _module(
        "pyrunc.kernel._seccomp",
        [],
        [HERE / "core" / "seccomp.cdef"],
        "#include <errno.h>\n#include <seccomp.h>\n#include <stdlib.h>\n",
        libraries=["seccomp"],
    )


core_ffi = core()
seccomp_ffi = seccomp()
