# SPDX-License-Identifier: Apache-2.0
"""Builds what is not Python: the cffi modules and the static pyrunc-init.

Completions and manual pages are not built: `pyrunc completion SHELL` and `pyrunc man [COMMAND]`
print them, and README.md says where they go.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, setup
from setuptools.command.build_py import build_py

from distutils.command.build_scripts import build_scripts  # isort: skip  # setuptools brings it

HERE = Path(__file__).resolve().parent
# pip does not put this directory there, and the build reads the package itself.
sys.path.insert(0, str(HERE))
STATIC = ["-static", "-s", "-ffunction-sections", "-Wl,--gc-sections"]
WARNINGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
# It runs as root, on data of others. musl has no FORTIFY; with glibc it costs nothing.
HARDENED = [
    "-fstack-protector-strong", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
]  # fmt: skip
# Those that have a start of the first process in assembly, or the word size and the order of
# bytes that the plan and the device filter are written in.
MACHINES = ("x86_64", "aarch64")
# The static executable, which `make wheel` makes the command. Named by whoever wants it: what
# happens to lie in dist may be of other sources.
EXECUTABLE = os.environ.get("PYRUNC_EXECUTABLE", "")


def refuse_other_machines() -> None:
    """A build for another machine would go wrong where it runs as root, not here."""
    if platform.machine() in MACHINES and sys.maxsize > 1 << 32 and sys.byteorder == "little":
        return
    raise SystemExit(
        f"pyrunc runs on {' and '.join(MACHINES)} with 64 bits, little-endian; "
        f"this is {platform.machine()} with {sys.maxsize.bit_length() + 1}, {sys.byteorder}-endian"
    )


def static_compiler() -> list[str]:
    """The compiler for pyrunc-init.

    musl, because a parked container keeps its pages: tens of KB with musl, 700 KB with a static
    glibc (docs/design.md, decision 4). Without musl-gcc the latter still works.
    """
    if chosen := os.environ.get("PYRUNC_INIT_CC"):
        return chosen.split()
    if musl := shutil.which("musl-gcc"):
        # musl-gcc looks at musl's headers only; the kernel's lie with the system's.
        machine = subprocess.run(
            ["gcc", "-print-multiarch"], capture_output=True, text=True, check=True
        ).stdout.strip()
        return [musl, "-idirafter", "/usr/include", "-idirafter", f"/usr/include/{machine}"]
    print("warning: no musl-gcc; pyrunc-init will be larger with glibc", file=sys.stderr)
    return [os.environ.get("CC", "cc")]


def build_native(package: Path) -> None:
    """pyrunc-init, into the package."""
    sources = sorted(str(p) for p in (HERE / "csrc" / "init").glob("*.c"))
    target = str(package / "pyrunc-init")
    command = [*static_compiler(), *WARNINGS, *HARDENED, *STATIC, *sources, "-o", target]
    print(" ".join(command), file=sys.stderr)
    subprocess.run(command, check=True)


class BuildPython(build_py):
    """Adds pyrunc-init to what a wheel holds."""

    def run(self) -> None:
        super().run()
        build_native(HERE / "pyrunc" if self.editable_mode else Path(self.build_lib) / "pyrunc")


class BuildScripts(build_scripts):
    """The command: tools/pyrunc, or the executable, which is no text that a line is changed in."""

    def run(self) -> None:
        if not EXECUTABLE:
            super().run()
            return
        self.mkpath(self.build_dir)
        self.copy_file(EXECUTABLE, os.path.join(self.build_dir, "pyrunc"))


class BuildNative(Command):
    """`setup.py build_native`: the same, in the source tree, for development."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None: ...

    def finalize_options(self) -> None: ...

    def run(self) -> None:
        build_native(HERE / "pyrunc")


refuse_other_machines()
setup(
    cffi_modules=[
        "csrc/build_core.py:core_ffi",
        "csrc/build_core.py:seccomp_ffi",
    ],
    cmdclass={
        "build_py": BuildPython,
        "build_scripts": BuildScripts,
        "build_native": BuildNative,
    },
    scripts=["tools/pyrunc"],
    # The list of what is in it lies beside it (tools/static/build.py).
    data_files=[("share/doc/pyrunc", [f"{EXECUTABLE}.spdx.json"])] if EXECUTABLE else [],
)
