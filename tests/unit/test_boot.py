# SPDX-License-Identifier: Apache-2.0
"""The command's modules in one file: pyrunc/boot.py reads what tools/pack_modules.py writes."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pyrunc
from pyrunc.boot import HEADER

TOP = Path(pyrunc.__file__).parent.parent
PACK = TOP / "tools" / "pack_modules.py"
# As csrc/launcher/launcher.c has it.
START = (
    "import sys;sys.path+=[{top!r}];"
    "import marshal;f=open({file!r},'rb',0);b,*r=marshal.loads(f.read(65536));"
    "f.close();exec(b);install(f.name,*r);"
)


def pack(package: Path, output: Path, *options: str) -> None:
    command = [sys.executable, "-B", "-X", "no_debug_ranges", str(PACK), *options]
    subprocess.run([*command, str(package), str(output)], check=True)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with the boot module, a module and a package below it."""
    top = tmp_path / "p"
    (top / "below").mkdir(parents=True)
    (top / "boot.py").write_text((TOP / "pyrunc" / "boot.py").read_text())
    (top / "__init__.py").write_text('"""Words."""\nfrom p.one import VALUE\n')
    (top / "one.py").write_text("VALUE = 1\n")
    (top / "below" / "__init__.py").write_text("")
    (top / "below" / "two.py").write_text("from p import one\nVALUE = one.VALUE + 1\n")
    return top


def run(package: Path, code: str) -> str:
    start = START.format(top=str(package.parent), file=str(package / "m.bin"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", start + code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.strip()


def loader_of(package: Path, name: str) -> str:
    return run(package, f"import {name} as m;print(type(m.__loader__).__name__, m.VALUE)")


def test_modules_and_packages(package: Path) -> None:
    pack(package, package / "m.bin")
    assert loader_of(package, "p.one") == "Modules 1"
    assert loader_of(package, "p.below.two") == "Modules 2"
    known = "import p.below.two as t, p;print(t.__file__, t.__package__, p.__path__, p.__doc__)"
    assert run(package, known) == f"{package}/below/two.py p.below {[str(package)]} None"


@pytest.mark.parametrize("options", [(), ("--fixed",)])
def test_a_module_that_was_changed(package: Path, options: tuple[str, ...]) -> None:
    """In a source tree it counts, and so do the others; an installed one does not change."""
    pack(package, package / "m.bin", *options)
    (package / "one.py").write_text("VALUE = 5\n")
    os.utime(package / "one.py", ns=(1, 1))
    if options:
        assert loader_of(package, "p.one") == "Modules 1"
    else:
        assert loader_of(package, "p.one") == "SourceFileLoader 5"
        assert loader_of(package, "p.below.two") == "Modules 6"


def test_a_module_that_came_later_or_went(package: Path) -> None:
    pack(package, package / "m.bin")
    (package / "three.py").write_text("VALUE = 3\n")
    assert loader_of(package, "p.three") == "SourceFileLoader 3"
    (package / "three.py").unlink()
    missing = "\ntry: import p.three\nexcept ModuleNotFoundError as e: print(e.name)"
    assert run(package, missing) == "p.three"
    (package / "below" / "two.py").unlink()
    assert run(package, missing.replace("p.three", "p.below.two")) == "p.below.two"


@pytest.mark.parametrize("size", [0, HEADER, HEADER + 40])
def test_another_build_installed_meanwhile(package: Path, size: int) -> None:
    """What stands in the file now is not what the index says: Python's own way finds it."""
    pack(package, package / "m.bin")
    other = f"import os;os.truncate({str(package / 'm.bin')!r}, {size});"
    assert run(package, f"{other}import p.one as m;print(m.VALUE)") == "1"


def test_code_of_another_build(package: Path) -> None:
    """At the same place and of the same length: the mark before it tells."""
    pack(package, package / "m.bin")
    data = bytearray((package / "m.bin").read_bytes())
    _, mark, index = marshal.loads(data[:HEADER])
    at = index["p.one"][0]
    assert data[at : at + len(mark)] == mark
    data[at] ^= 1
    (package / "m.bin").write_bytes(data)
    assert loader_of(package, "p.one") == "SourceFileLoader 1"
    assert loader_of(package, "p.below.two") == "Modules 2"
    data[at] ^= 1
    data[at + len(mark)] = 0  # no object that marshal knows
    (package / "m.bin").write_bytes(data)
    assert loader_of(package, "p.one") == "SourceFileLoader 1"


def test_no_descriptor_stays_open(package: Path) -> None:
    pack(package, package / "m.bin", "--fixed")
    assert run(package, "import p, os;print(sorted(os.listdir('/proc/self/fd')))") == str(
        ["0", "1", "2", "3"]  # 3: of the listing itself
    )


def test_what_is_built_is_what_the_sources_say(tmp_path: Path) -> None:
    """Else a command would run Python's own, slower way; `make build` writes it."""
    built = TOP / "pyrunc" / f"modules-{sysconfig.get_python_version()}.bin"
    pack(TOP / "pyrunc", tmp_path / "m.bin")
    assert contents(built) == contents(tmp_path / "m.bin")
    assert "pyrunc.lifecycle.exec" in contents(built)


def contents(packed: Path) -> dict[str, object]:
    """Names with code and stamps. Not bytes: how marshal writes depends on what else there is."""
    data = packed.read_bytes()
    boot, mark, index = marshal.loads(data[:HEADER])
    found: dict[str, object] = {"": (boot, mark)}
    for name, (offset, length, *stamp) in index.items():
        found[name] = (marshal.loads(data[offset + len(mark) : offset + length]), stamp)
    return found
