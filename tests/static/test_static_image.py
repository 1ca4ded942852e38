# SPDX-License-Identifier: Apache-2.0
"""What is in the executable's file, and what must not be."""

from __future__ import annotations

import array
import ast
import hashlib
import inspect
import json
import marshal
import os
import platform
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
COMMAND = TREE / "dist" / "pyrunc"

# struct elf64_phdr: type, flags, offset, address, physical address, size in the file, in memory
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
LOAD = 1
WRITE = 2
# Where x86-64 and aarch64 have stack, mmap and vdso.
HIGH = (0x7F0000000000, 0x800000000000) if platform.machine() == "x86_64" else (
    0xFF0000000000, 0x1000000000000,
)  # fmt: skip

# Of a table of C's: characters, not an address.
ALL_127 = 0x7F7F7F7F7F7F


class Elf:
    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        (offset,) = struct.unpack_from("<Q", self.data, 32)
        size, number = struct.unpack_from("<HH", self.data, 54)
        self.headers = [
            PROGRAM_HEADER.unpack_from(self.data, offset + i * size) for i in range(number)
        ]

    def writable(self):
        """(address, bytes) of what is written to at run time."""
        for kind, flags, offset, address, _, size, *_ in self.headers:
            if kind == LOAD and flags & WRITE:
                yield address, self.data[offset : offset + size]


@pytest.fixture(scope="module")
def elf() -> Elf:
    return Elf(COMMAND)


def test_nothing_is_asked_of_the_host(elf):
    """No interpreter, no libraries, fixed addresses."""
    kinds = {row[0] for row in elf.headers}
    assert not kinds & {2, 3}, "PT_DYNAMIC or PT_INTERP"
    (kind,) = struct.unpack_from("<H", elf.data, 16)
    assert kind == 2, "ET_EXEC"


def test_no_stack_is_executable_and_no_page_written_and_executed(elf):
    for kind, flags, *_ in elf.headers:
        if kind in (LOAD, 0x6474E551):
            assert flags & (WRITE | 1) != WRITE | 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="knows that machine's instructions")
def test_functions_have_canaries(elf):
    """mov or sub of %fs:0x28 (System V ABI): CPython's, cffi's, libseccomp's and ours."""
    found = re.findall(rb"\x64[\x48\x4c][\x8b\x2b\x33].\x25\x28\x00\x00\x00", elf.data, re.DOTALL)
    assert len(found) > 1000


def test_no_address_leads_out_of_the_image(elf, work):
    """The build's own scan knows the mappings; here, whatever could be one of any process."""
    init = (work / "pyrunc-init").read_bytes()
    for address, found in elf.writable():
        data = found.replace(init, bytes(len(init)))  # machine code has all kinds of numbers
        words = array.array("Q", data[: len(data) & ~7])
        outside = [
            (hex(address + 8 * i), hex(word))
            for i, word in enumerate(words)
            if HIGH[0] <= word < HIGH[1] and word != ALL_127
        ]
        assert not outside


def test_the_build_refuses_an_address_that_leads_out(work, tmp_path):
    """A planted one: of the seed's stack, in a block of the heap."""
    script = tmp_path / "plant.py"
    script.write_text(
        "import _image\n"
        "def main():\n"
        "    global planted\n"
        "    import posix\n"
        "    fd = posix.open('/proc/self/maps', 0)\n"
        "    maps = b''\n"
        "    while more := posix.read(fd, 65536): maps += more\n"
        "    line = next(l for l in maps.splitlines() if l.endswith(b'[stack]'))\n"
        "    address = int(line.split(b'-')[0], 16) + 64\n"
        "    main.planted = address.to_bytes(8, 'little') * 4\n"
        "    _image.keep(" + repr(str(tmp_path / "image")) + ", main, main)\n"
    )
    done = seed(work, script)
    assert done.returncode == 1
    assert "which is in [stack]" in done.stderr
    assert "not written" in done.stderr
    assert not (tmp_path / "image").exists()


def library(work: Path) -> str:
    return (work / "library").read_text()


def texts(data: bytes) -> set[str]:
    """As strings(1) finds them, of one and of four bytes a character."""
    found = {match.decode() for match in re.findall(rb"[ -~]{6,}", data)}
    wide = re.findall(rb"(?:[ -~]\0\0\0){6,}", data)
    return found | {match.decode("utf-32-le") for match in wide}


def test_no_text_of_the_build_is_left(elf, work):
    """Its paths, its host, its environment, the lives that were lived."""
    unwanted = {
        str(work), str(work.parent.parent), library(work), str(Path.home()) + "/.cache",
        f"{socket.gethostname()}", "/sleeps", "pyrunc-build-0", "pyrunc-build-1",
    }  # fmt: skip
    unwanted |= {value for value in os.environ.values() if len(value) > 7 and "/" in value}
    unwanted = {text for text in unwanted if len(text) > 5}
    for _, data in elf.writable():
        left = {text for text in texts(data) if any(word in text for word in unwanted)}
        assert not left - ALLOWED


# What Debian's PATH and the like have in common with constants of the code.
ALLOWED: set[str] = set()


def seed(work: Path, script: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*options.pop("under", ()), work / "seed", library(work), script, *arguments],
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


@pytest.fixture
def builtin(work, tmp_path) -> set[str]:
    """The modules that are C, or frozen by CPython: importable at any time."""
    script = tmp_path / "names.py"
    script.write_text(
        "import sys, _imp\n"
        "def main(): print(*sys.builtin_module_names, *_imp._frozen_module_names())\n"
    )
    done = seed(work, script)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def imports(tree: ast.AST) -> set[str]:
    """Each module that an import statement names, those for type checkers left out."""
    found: set[str] = set()
    if isinstance(tree, ast.If) and getattr(tree.test, "id", "") == "TYPE_CHECKING":
        return set().union(*(imports(node) for node in tree.orelse))
    if isinstance(tree, ast.Import):
        found = {alias.name for alias in tree.names}
    if isinstance(tree, ast.ImportFrom) and not tree.level:
        found = {str(tree.module)}
    return found.union(*(imports(node) for node in ast.iter_child_nodes(tree)))


def inside(work: Path) -> dict[str, tuple[bool, str, bytes]]:
    with open(work / "modules", "rb") as file:
        return marshal.load(file)


def test_nothing_is_to_be_run_at_each_start(work):
    """The image begins as a fork's child: what `threading` does then touches 23 pages."""
    assert not inside(work).keys() & {"threading", "logging", "random"}


def test_what_our_modules_import_is_there(work, builtin):
    """Nothing can be imported once the image is written."""
    there = inside(work).keys() | builtin | {"collections.abc"}  # `collections` makes that name
    for path in (TREE / "pyrunc").rglob("*.py"):
        name = str(path.relative_to(TREE))
        if name in NOT_INSIDE:
            continue
        missing = imports(ast.parse(path.read_text())) - there
        assert missing <= NOT_NEEDED.get(name, set()), name


NOT_INSIDE = {"pyrunc/plan/header.py", "pyrunc/kernel/pyroute.py"}
NOT_NEEDED = {
    "pyrunc/lifecycle/network.py": {"pyrunc.kernel.pyroute"},  # takes netlink.py then
}


def test_what_the_libraries_import_is_there(work, builtin, tmp_path):
    there = inside(work)
    files = {}
    for name, (_, path, _) in there.items():
        top, _, rest = path.partition("/")
        if top in ("lib", "packages"):
            files[name] = str((Path(library(work)) if top == "lib" else work / top) / rest)
    # By the seed, since its Python's syntax may be newer than this one's.
    script = tmp_path / "imports.py"
    script.write_text(
        f"import ast\n{inspect.getsource(imports)}\nfiles = {files!r}\n"
        "def read(path):\n  with open(path, encoding='utf-8') as file: return file.read()\n"
        "def main():\n  for name in files:\n"
        "    print(name, *sorted(imports(ast.parse(read(files[name])))))\n"
    )
    done = seed(work, script)
    assert done.returncode == 0, done.stderr
    found = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert found.keys() == files.keys()
    missing = {name: set(text.split()) - there.keys() - builtin for name, text in found.items()}
    assert {
        name: left for name, what in missing.items() if (left := what - set(UNUSED.get(name, ())))
    } == {}


# Imports in functions that the command does not call, or that are tried and done without.
UNUSED = {
    "ast": ("argparse",),  # run as a program, as in the others
    "collections": ("copy",),  # UserDict.copy
    "difflib": ("doctest",),  # its own test
    "dis": ("argparse",),
    "encodings": ("_winapi", "encodings.mbcs"),  # Windows
    "enum": ("warnings",),  # of what is deprecated, as in the others
    "functools": ("typing", "warnings", "weakref"),  # singledispatch
    "heapq": ("doctest",),
    "inspect": ("argparse", "collections.abc"),  # `collections` makes that name
    "re": ("warnings",),
    "re._parser": ("unicodedata", "warnings"),  # \\N{NAME} in a pattern
    "selectors": ("collections.abc",),
    "tokenize": ("argparse",),
    "typing": ("collections.abc", "inspect"),  # protocols that are checked at run time
    # What a warning looks like, tried and done without; the decorator `deprecated`.
    "warnings": ("inspect", "linecache", "traceback", "tracemalloc"),
}


@pytest.mark.parametrize(
    "file", sorted((TREE / "csrc" / "image").glob("*.c")), ids=os.path.basename
)
def test_the_c_is_c_for_aarch64_too(work, file, tmp_path):
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if not compiler or platform.machine() != "x86_64":
        pytest.skip("needs gcc-aarch64-linux-gnu")
    made = Path(library(work)).parent
    headers = [f"-isystem{made}/python", f"-isystem{made}/python/internal", f"-I{made}/include"]
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [compiler, "-std=gnu11", "-O2", "-fno-strict-aliasing", "-DNDEBUG", *warnings, *headers,
         "-c", file, "-o", tmp_path / "o"],
        check=True,
    )  # fmt: skip


def image(work: Path, tmp_path: Path, name: str, lives: int, **options) -> bytes:
    """Another image of the same seed, made in a directory of its own."""
    place = tmp_path / name
    place.mkdir()
    for file in ("modules", "pyrunc-init", "versions", "sleeps", "ends"):
        (place / file).symlink_to(work / file)
    done = seed(work, TREE / "tools/static/lives.py", str(lives), cwd=place, **options)
    assert done.returncode == 0, done.stderr
    return (place / "pyrunc").read_bytes()


def test_two_builds_are_the_same(work, tmp_path):
    """In another directory, environment, time zone, on another host, with other descriptors, umask
    and limits: whatever a module knew of them would differ.
    """

    def change() -> None:
        os.umask(0o77)
        os.setpriority(os.PRIO_PROCESS, 0, 3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    first = image(work, tmp_path, "a", 0, stdin=subprocess.DEVNULL)
    other = 'hostname another-host; exec "$@"'
    second = image(
        work, tmp_path, "another-one" * 9, 0, stdin=subprocess.PIPE, preexec_fn=change,
        under=("unshare", "--uts", "sh", "-c", other, "sh"),
        env={"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "HOME": "/nowhere",
             "PATH": "/bin:/usr/bin:/other"},
    )  # fmt: skip
    differ = [hex(i) for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    assert not differ


@pytest.mark.parametrize("newer", ["python3.13_1.dsc", "libseccomp_1.dsc", "cffi-1.tar.gz"])
def test_newer_sources_make_other_libraries(tmp_path, monkeypatch, newer):
    """All that libraries.sh unpacks; else the list would name what is not inside."""
    monkeypatch.syspath_prepend(TREE / "tools" / "static")
    import build

    if not shutil.which("musl-gcc"):
        pytest.skip("needs musl-gcc")
    for name in ("python3.13_1.dsc", "libseccomp_1.dsc", "cffi-1.tar.gz"):
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "run", lambda *_: None)  # nothing is to be compiled
    made = build.libraries(tmp_path, None)
    assert build.libraries(tmp_path, None) == made
    (tmp_path / newer).write_text("2")
    assert build.libraries(tmp_path, None) != made


def test_the_list_of_what_is_inside(command):
    document = json.loads(command.with_suffix(".spdx.json").read_text())
    packages = {row["name"]: row for row in document["packages"]}
    digest = hashlib.sha256(command.read_bytes()).hexdigest()
    assert packages["pyrunc"]["checksums"][0]["checksumValue"] == digest
    notice = (TREE / "NOTICE").read_text().partition("dist/pyrunc")[2]
    rows = [line.split() for line in notice.splitlines() if line.startswith("  ")]
    told = {row[0].lower(): row[1].strip(":,") for row in rows}
    licenses = {name: row["licenseDeclared"] for name, row in packages.items()}
    assert licenses == told | {"pyrunc": "Apache-2.0"}
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    for line in said.stdout.splitlines()[3:]:
        name, _, version = line.partition(": ")
        inside = packages[{"python": "cpython"}.get(name, name)]["versionInfo"]
        assert inside.startswith(version)  # Debian's revision follows
