# SPDX-License-Identifier: Apache-2.0
"""pyrunc as it is packed and installed: its command finds its own package, and no other's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import pyrunc
from tests.lib import executable, support

TOP = Path(pyrunc.__file__).parent.parent
PYTHON = os.path.realpath(sys.executable)
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(support.GUEST, reason="installs from PyPI: the guest has no network"),
    pytest.mark.skipif(
        not (TOP / ".git").exists(), reason="needs git to tell what the sources are"
    ),
]


def command(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=300,
        **options,
    )  # fmt: skip


def done(*words: object, **options: object) -> str:
    found = command(*words, **options)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


class Packed:
    """A wheel, made of an sdist that was unpacked elsewhere; the tools, and the sources."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.sources = top / "sources"
        listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in done(*listed, cwd=TOP).split("\0"):
            if name and (TOP / name).is_file() and not name.startswith("tests/"):
                (self.sources / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, self.sources / name)
        done(PYTHON, "-m", "venv", top / "venv")
        self.python = top / "venv/bin/python"
        found = command(self.python, "-m", "pip", "install", "-q", "build")
        if found.returncode != 0:
            pytest.skip(f"needs PyPI: {found.stderr.strip().splitlines()[-1]}")
        done(self.python, "-m", "build", "-q", "--sdist", "-o", top, self.sources)
        unpacked = top / "unpacked"
        unpacked.mkdir()
        (packed,) = top.glob("*.tar.gz")
        done("tar", "-x", "-C", unpacked, "-f", packed)
        (source,) = unpacked.iterdir()
        done(self.python, "-m", "build", "-q", "--wheel", "-o", top, source)
        (self.wheel,) = top.glob("*.whl")
        shutil.rmtree(unpacked)

    def pip(self, *words: object, python: Path | None = None) -> None:
        done(self.python, "-m", "pip", f"--python={python or self.python}", "install", "-q", *words)

    def installed(self, how: str, wheel: Path | None = None) -> Path:
        wheel = wheel or self.wheel
        place = self.top / how if wheel == self.wheel else wheel.parent / how
        if how == "venv":
            if wheel != self.wheel:
                done(PYTHON, "-m", "venv", "--without-pip", place)
            self.pip(wheel, python=place / "bin/python")
        elif how == "target":
            self.pip("--no-deps", "--target", place, wheel)
        else:
            self.pip("--no-deps", "--ignore-installed", "--prefix", place, wheel)
        if how == "lib64":
            (place / "lib").rename(place / "lib64")
        return place / "bin/pyrunc"

    def with_executable(self) -> Path:
        """`make wheel`, with the executable that is there."""
        place = self.top / "with"
        if not place.exists():
            self.pip("setuptools>=70.1", "cffi")  # as in tools/requirements.txt
            (self.sources / "dist").mkdir()
            for file in (executable.PATH, executable.PATH.with_suffix(".spdx.json")):
                shutil.copy2(file, self.sources / "dist")
            there = [f"BIN={self.python.parent}", f"WHEELS={place}", "-o", "dist/pyrunc"]
            done("make", "-C", self.sources, "wheel", *there)
        (wheel,) = place.glob("*.whl")
        return wheel


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    top = tmp_path_factory.mktemp("packed")
    yield Packed(top)
    shutil.rmtree(top)


@pytest.mark.parametrize("how", ["venv", "target", "prefix", "lib64"])
def test_the_command_runs_where_it_is_installed(packed, how, tmp_path):
    program = packed.installed(how)
    assert done(program, "--version", cwd="/", env={}).startswith("pyrunc version ")
    done(program, "spec", "-b", tmp_path)
    assert (tmp_path / "config.json").exists()
    interpreter, _, data = program.read_bytes().partition(b"\n")
    assert interpreter == b"#!%s" % os.fsencode(packed.python)
    for path in (packed.top, packed.sources, TOP, "/tmp/build-env", "unpacked"):
        assert os.fsencode(path) not in data


def test_a_container_of_an_installed_pyrunc(packed, bundle, tmp_path):
    runtime = support.Runtime(str(packed.top / "venv/bin/pyrunc"), tmp_path / "state")
    try:
        assert runtime.run(bundle.shell("echo in")).stdout == "in\n"
    finally:
        runtime.clean()


@pytest.mark.skipif(bool(executable.what_is_newer()), reason="needs dist/pyrunc: make static")
@pytest.mark.parametrize("how", ["venv", "target", "prefix"])
def test_the_wheel_has_the_executable(packed, how, bundle, tmp_path):
    wheel = packed.with_executable()
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_")
    assert wheel.name.endswith(f"-{tag}-{tag}-{platform}.whl")
    program = packed.installed(how, wheel)
    assert program.read_bytes() == executable.PATH.read_bytes()
    assert done(program, "--version", cwd="/", env={}).startswith("pyrunc version ")
    runtime = support.Runtime(str(program), tmp_path / "state")
    try:
        assert runtime.run(bundle.shell("echo in")).stdout == "in\n"
    finally:
        runtime.clean()
    if how == "venv":  # the library, with the core in C
        code = "import pyrunc.kernel.calls, sys; sys.exit(not pyrunc.__version__)"
        done(program.with_name("python"), "-I", "-c", code)


@pytest.mark.skipif(bool(executable.what_is_newer()), reason="needs dist/pyrunc: make static")
def test_the_wheel_tells_nothing_of_its_build(packed):
    with zipfile.ZipFile(packed.with_executable()) as wheel:
        names = wheel.namelist()
        beside = {name.partition(".data/")[2] for name in names if ".data/" in name}
        assert beside == {"scripts/pyrunc", "data/share/doc/pyrunc/pyrunc.spdx.json"}
        assert "pyrunc/pyrunc-init" in names
        for name in names:
            data = wheel.read(name)
            for path in (packed.top, TOP):
                assert os.fsencode(path) not in data, name


def test_an_editable_install_has_the_command(packed, tmp_path):
    done(PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv")
    packed.pip("--no-deps", "-e", packed.sources, python=tmp_path / "venv/bin/python")
    # What pip would have fetched.
    there = next((tmp_path / "venv/lib").glob("*/site-packages"))
    here = Path(sysconfig.get_path("platlib"))
    shutil.copytree(here / "jeepney", there / "jeepney")
    shutil.copy(next(here.glob("_cffi_backend*.so")), there)
    program = tmp_path / "venv/bin/pyrunc"
    assert done(program, "--version").startswith("pyrunc version ")
    assert os.fsencode(packed.sources) not in program.read_bytes()
    source = packed.sources / "pyrunc/cli/version.py"
    source.write_text(source.read_text().replace("{name} version ", "edited version "))
    assert done(program, "--version").startswith("edited version ")
    packed.sources.chmod(0o757)
    try:
        found = command(program, "--version")
    finally:
        packed.sources.chmod(0o755)
    what = "belongs to others or may be written by others: refused"
    assert (found.returncode, found.stderr) == (1, f"pyrunc: {packed.sources} {what}\n")


def test_a_copy_of_the_command_has_no_package(packed, tmp_path):
    installed = packed.installed("target").read_text()
    copy = tmp_path / "pyrunc"
    copy.write_text(f"#!{PYTHON}\n{installed.partition(chr(10))[2]}")
    copy.chmod(0o755)
    # What others could make where no installation is.
    found = command(copy, "--version", cwd=packed.sources, env={"PYTHONPATH": str(packed.sources)})
    assert found.returncode == 1
    assert found.stderr.startswith("pyrunc: no module pyrunc below ")
    assert found.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")
@pytest.mark.parametrize("change", ["mode", "group", "owner", "inner"])
def test_a_package_that_others_may_write_is_refused(packed, change, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(packed.installed("target").parent.parent, place)
    # Where that user could not have replaced the command itself.
    if change == "mode":
        place.chmod(0o757)
    elif change == "inner":
        (place / "pyrunc").chmod(0o757)
    elif change == "group":
        place.chmod(0o775)
        os.chown(place, 0, 1000)
    else:
        os.chown(place / "pyrunc", 1000, 0)
    found = command(place / "bin/pyrunc", "--version")
    assert found.returncode == 1
    assert "belongs to others or may be written by others: refused" in found.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")
def test_an_owner_of_the_command_is_trusted(packed, tmp_path):
    """Who could replace the command gains nothing by the package: a user's own environment."""
    place = tmp_path / "copy"
    shutil.copytree(packed.installed("target").parent.parent, place)
    for path in (place, *place.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    place.chmod(0o775)
    assert done(place / "bin/pyrunc", "--version").startswith("pyrunc version ")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")
def test_an_environment_of_a_user_that_root_installs_into(packed, tmp_path):
    """The command is root's, the directories around it are a user's, who could replace it."""
    place = tmp_path / "copy"
    shutil.copytree(packed.installed("target").parent.parent, place)
    for path in (place, place / "bin"):
        os.chown(path, 1000, 1000)
    assert done(place / "bin/pyrunc", "--version").startswith("pyrunc version ")


@pytest.mark.parametrize("machine", ["riscv64", "s390x", "armv7l"])
def test_other_machines_are_refused_in_one_line(machine):
    code = (
        f"import platform, sys; platform.machine = lambda: '{machine}'; sys.argv = ['setup.py'];"
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), {'__file__': 'setup.py'})"
    )
    found = command(sys.executable, "-c", code, cwd=TOP)
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("pyrunc runs on x86_64 and aarch64")
    assert machine in last
