# SPDX-License-Identifier: Apache-2.0
"""What others build with: another compiler, a sanitizer, another Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyrunc
from tests.lib import support

PACKAGE = Path(pyrunc.__file__).parent
TOP = PACKAGE.parent
SOURCES = sorted(path for part in ("init", "core") for path in (TOP / "csrc" / part).glob("*.c"))
WARNINGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")
# No library at run time: what is undefined ends the process with SIGILL.
SANITIZED = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
# All of them with PYRUNC_TEST_PYTHONS=1 (`make test-pythons`), else the newest.
ALL = bool(os.environ.get("PYRUNC_TEST_PYTHONS"))
pytestmark = pytest.mark.skipif(support.GUEST, reason="builds natively: the guest has no compiler")


def works(path: Path) -> bool:
    """A shim may stand for one that is not chosen."""
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


def pythons() -> dict[str, str]:
    """Other Pythons of this host that pyrunc supports: version -> interpreter."""
    places = [*os.environ["PATH"].split(":"), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    found = {}
    for place in places:
        for path in sorted(Path(place).glob("python3.*")):
            version = path.name.removeprefix("python")
            if re.fullmatch(r"3\.\d+", version) and int(version[2:]) >= 11 and works(path):
                found.setdefault(version, str(path))
    found.pop(f"3.{sys.version_info.minor}", None)
    newest_last = sorted(found, key=lambda version: int(version[2:]))
    return {version: found[version] for version in (newest_last if ALL else newest_last[-1:])}


OTHERS = pythons()


def done(*words: object, **options: object) -> str:
    found = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=600,
        **options,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_each_compiler_has_nothing_to_warn_of(compiler, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    assert len(SOURCES) > 20
    for source in SOURCES:
        done(compiler, *WARNINGS, "-iquote", TOP / "csrc/core", "-c", source, "-o", tmp_path / "x")


def test_nothing_undefined_happens_in_pyrunc_init(bundle, tmp_path):
    """A life with what has most to do: mounts, devices, hooks, limits, a filter."""
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy / "pyrunc", ignore=shutil.ignore_patterns("__pycache__"))
    init = sorted((TOP / "csrc/init").glob("*.c"))
    done("cc", *WARNINGS, *SANITIZED, "-static", *init, "-o", copy / "pyrunc/pyrunc-init")
    trap = b"\x0f\x0b" if os.uname().machine == "x86_64" else b""
    assert trap in (copy / "pyrunc/pyrunc-init").read_bytes(), "it was built without a trap"
    command = tmp_path / "pyrunc"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={copy} exec {sys.executable} -B -m pyrunc "$@"\n')
    command.chmod(0o755)
    volume = tmp_path / "volume"
    volume.mkdir()
    config = bundle.config
    config["mounts"].append(
        {"destination": "/volume", "type": "bind", "source": str(volume),
         "options": ["rbind", "ro", "nosuid", "rprivate"]}
    )  # fmt: skip
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 64, "soft": 64}]
    config["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    runtime = support.Runtime(str(command), tmp_path / "state")
    try:
        found = runtime.run(
            bundle.shell("ulimit -n; ls -d /volume; (: > /volume/x) 2> /dev/null || echo ro")
        )
        assert (found.stdout, found.returncode) == ("64\n/volume\nro\n", 0), found.stderr
        bundle.args("/bin/sleep", "1000")
        container = runtime.create(bundle)
        assert runtime("start", container).returncode == 0
        assert runtime("exec", container, "/bin/true").returncode == 0
        assert runtime("delete", "-f", container).returncode == 0
    finally:
        runtime.clean()


@pytest.mark.slow
@pytest.mark.parametrize("version", OTHERS or [None])
def test_another_python_builds_and_runs_it(version, bundle, tmp_path):
    if version is None:
        pytest.skip("needs another Python from 3.11 on")
    sources = tmp_path / "sources"
    for name in ("pyrunc", "csrc", "tools"):
        ignored = shutil.ignore_patterns(
            "__pycache__", "*.so", "pyrunc-init", "_core.c", "_seccomp.c"
        )
        shutil.copytree(TOP / name, sources / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in"):
        shutil.copy(TOP / name, sources)
    done(OTHERS[version], "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", str(sources)], capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    if "No matching distribution" in installed.stderr:
        pytest.skip("needs PyPI")
    assert installed.returncode == 0, installed.stderr
    program = (
        "import pyrunc, sys\n"
        "made = pyrunc.Container.create(sys.argv[1], 'other', root=sys.argv[2])\n"
        "with made as container:\n"
        "    container.start()\n"
        "    print(container.exec(['id', '-u'], capture_output=True).stdout)\n"
        "    container.kill(9)\n"
        "    print(container.wait(20))\n"
    )
    bundle.args("/bin/sleep", "1000")
    shown = done(python, "-c", program, bundle.path, tmp_path / "state", stdin=subprocess.DEVNULL)
    assert shown == "b'0\\n'\nExit(code=137, signal=9, reason='signaled')\n"
