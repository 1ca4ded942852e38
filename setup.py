# SPDX-License-Identifier: Apache-2.0
"""Builds what is not Python: the cffi modules, the static pyrunc-init, the launcher.

Completions and manual pages are not built: `pyrunc completion SHELL` and `pyrunc man [COMMAND]`
print them, and README.md says where they go.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from setuptools import Command, setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
LAUNCHER = Path("build/launcher/pyrunc")
# Names the source tree to a launcher that is to use it as it is (csrc/launcher/place.c).
SOURCE = Path("build/launcher/source")
STATIC = ["-static", "-s", "-ffunction-sections", "-Wl,--gc-sections"]
WARNINGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
# Both run as root, on data of others. musl has no FORTIFY; with glibc it costs nothing.
HARDENED = [
    "-fstack-protector-strong", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
]  # fmt: skip
# Those that have a start of the first process in assembly, or the word size and the order of
# bytes that the plan and the device filter are written in.
MACHINES = ("x86_64", "aarch64")


def refuse_other_machines() -> None:
    """A build for another machine would go wrong where it runs as root, not here."""
    if platform.machine() in MACHINES and sys.maxsize > 1 << 32 and sys.byteorder == "little":
        return
    raise SystemExit(
        f"pyrunc runs on {' and '.join(MACHINES)} with 64 bits, little-endian; "
        f"this is {platform.machine()} with {sys.maxsize.bit_length() + 1}, {sys.byteorder}-endian"
    )


def static_compiler() -> list[str]:
    """The compiler for pyrunc-init and the launcher.

    musl, because a parked container keeps the former's pages: tens of KB with musl, 700 KB
    with a static glibc (docs/design.md, decision 4). Without musl-gcc the latter still works.
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


def compile_c(compiler: list[str], options: list[str], sources: list[str], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [*compiler, *WARNINGS, *HARDENED, *options, *sources, "-o", str(target)]
    print(" ".join(command), file=sys.stderr)
    subprocess.run(command, check=True)


def build_native(package: Path) -> None:
    """pyrunc-init into the package, the launcher into the build directory."""
    sources = sorted(str(p) for p in (HERE / "csrc" / "init").glob("*.c"))
    compile_c(static_compiler(), STATIC, sources, package / "pyrunc-init")
    base = Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}"
    defines = {
        "PYRUNC_PYTHON": os.path.realpath(base),
        "PYRUNC_VERSION": sysconfig.get_python_version(),
    }
    defined = [f'-D{name}="{value}"' for name, value in defines.items()]
    sources = sorted(str(p) for p in (HERE / "csrc" / "launcher").glob("*.c"))
    compile_c(static_compiler(), [*STATIC, *defined], sources, LAUNCHER)


def pack_modules(package: Path, *arguments: str) -> None:
    """The modules' code in one file, which the launcher tells Python of (pyrunc/boot.py)."""
    script = str(HERE / "tools" / "pack_modules.py")
    output = package / f"modules-{sysconfig.get_python_version()}.bin"
    # -B: nothing is to be compiled beside the sources of a build that is isolated from them.
    command = [sys.executable, "-B", "-X", "no_debug_ranges", script, *arguments]
    subprocess.run([*command, str(package), str(output)], check=True)


def name_source() -> None:
    SOURCE.parent.mkdir(parents=True, exist_ok=True)
    SOURCE.write_text(f"{HERE}\n")


class BuildPython(build_py):
    """Adds pyrunc-init to what a wheel holds, and builds the launcher that it puts on PATH."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            build_native(HERE / "pyrunc")
            pack_modules(HERE / "pyrunc")
            name_source()
            self.distribution.data_files.append(("share/pyrunc", [str(SOURCE)]))
        else:
            build_native(Path(self.build_lib) / "pyrunc")
            pack_modules(Path(self.build_lib) / "pyrunc", "--fixed")


class BuildNative(Command):
    """`setup.py build_native`: the same, in the source tree, for development."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None: ...

    def finalize_options(self) -> None: ...

    def run(self) -> None:
        build_native(HERE / "pyrunc")
        pack_modules(HERE / "pyrunc")
        name_source()


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True

    def has_data(self) -> bool:
        """What setuptools' editable_wheel asks by that name: the command is among the data."""
        return bool(self.data_files)


refuse_other_machines()
setup(
    cffi_modules=[
        "csrc/build_core.py:core_ffi",
        "csrc/build_core.py:seccomp_ffi",
    ],
    # As data, not as a script: setuptools would read a script as Python text.
    data_files=[("bin", [str(LAUNCHER)])],
    cmdclass={"build_py": BuildPython, "build_native": BuildNative},
    distclass=BinaryDistribution,
)
