# SPDX-License-Identifier: Apache-2.0
"""Each engine, command by command, with its usual runtime and with pyrunc (make test-engines)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.engines import course
from tests.engines.course import Step
from tests.lib import support

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "engines.md"
IMAGE = "busybox:test"
PYRUNC = support.PYRUNC
# The engine, and the runtime that Debian has it call.
USUAL = {"docker": "runc", "containerd": "runc", "podman": "crun", "buildah": "crun"}
COURSES = {engine: course.read(HERE / f"{engine}.txt") for engine in USUAL}
CHAPTERS = [(engine, chapter) for engine, chapters in COURSES.items() for chapter in chapters]
# What a test leaves for docs/engines.md (table.py).
OUT = Path(os.environ.get("PYRUNC_ENGINES_OUT", "/out"))
pytestmark = pytest.mark.skipif(
    not support.GUEST or not os.environ.get("PYRUNC_TEST_ENGINES"),
    reason="takes long, in the guest: make test-engines",
)


def command(*words: str, **options: object) -> None:
    """A command that has to succeed."""
    done = subprocess.run(words, capture_output=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}: {done.stdout!r}{done.stderr!r}"


def image_tar(directory: Path) -> Path:
    """A tar of a root file system for an image: there is no network to pull one from."""
    tree = directory / "rootfs"
    for name in ("bin", "etc", "tmp", "mnt"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin")
    listed = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True)
    for applet in listed.stdout.split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "tmp").chmod(0o1777)
    target = directory / "image.tar"
    command("tar", "-c", "-f", str(target), "-C", str(tree), ".")
    return target


def oci_archive(packed: Path) -> Path:
    """The same as an archive of an image, which is what containerd imports."""
    archive = packed.with_suffix(".oci")
    if not archive.exists():
        name = f"docker.io/library/{IMAGE}"
        command("podman", "import", "--quiet", str(packed), name)
        command("podman", "save", "--quiet", "--format", "oci-archive", "-o", str(archive), name)
    return archive


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_tar(tmp_path_factory.mktemp("image"))


def block(file: str) -> str:
    """The block of docs/engines.md for a file, with the runtime's path here."""
    text = PAGE.read_text().partition(f"# {file}\n")[2].partition("```")[0]
    assert text, f"docs/engines.md has no block for {file}"
    return text.replace("/usr/local/bin/pyrunc", PYRUNC)


def docker(runtime: str, packed: Path) -> Iterator[tuple[str, str]]:
    config = Path("/etc/docker/daemon.json")
    config.parent.mkdir(exist_ok=True)
    before = config.read_text() if config.exists() else None
    config.write_text(block(str(config)) if runtime == PYRUNC else "{}")
    try:
        command("systemctl", "start", "docker.service", timeout=120 * support.SLOW)
        with packed.open("rb") as file:
            command("docker", "import", "-", IMAGE, stdin=file)
        yield IMAGE, ""
    finally:
        command("systemctl", "stop", "docker.service", "docker.socket")
        subprocess.run(["ip", "link", "del", "docker0"], check=False)
        config.unlink()
        if before is not None:
            config.write_text(before)


def containerd(runtime: str, packed: Path) -> Iterator[tuple[str, str]]:
    command("systemctl", "start", "containerd.service", timeout=120 * support.SLOW)
    command("ctr", "image", "import", str(oci_archive(packed)))
    try:
        yield f"docker.io/library/{IMAGE}", f'with="--runc-binary {runtime}"\n'
    finally:
        command("systemctl", "stop", "containerd.service")


def podman(runtime: str, packed: Path) -> Iterator[tuple[str, str]]:
    command("podman", "import", "--quiet", str(packed), f"localhost/{IMAGE}")
    config = packed.with_name("containers.conf")
    config.write_text(block("/etc/containers/containers.conf"))
    prelude = f"export CONTAINERS_CONF={config}\n" if runtime == PYRUNC else ""
    yield f"localhost/{IMAGE}", prelude


ENGINES: dict[str, Callable[[str, Path], Iterator[tuple[str, str]]]] = {
    "docker": docker,
    "containerd": containerd,
    "podman": podman,
    "buildah": podman,
}


@pytest.fixture(scope="module")
def played(packed: Path) -> Callable[[str], dict[str, dict[str, list[course.Outcome]]]]:
    """All chapters of an engine, by runtime; played once."""
    done: dict[str, dict[str, dict[str, list[course.Outcome]]]] = {}

    def play(engine: str) -> dict[str, dict[str, list[course.Outcome]]]:
        if engine not in done:
            done[engine] = {runtime: _play(engine, runtime, packed) for runtime in
                            (USUAL[engine], PYRUNC)}  # fmt: skip
        return done[engine]

    return play


def _play(engine: str, runtime: str, packed: Path) -> dict[str, list[course.Outcome]]:
    outcomes = {}
    for image, prelude in ENGINES[engine](runtime, packed):
        for chapter, steps in COURSES[engine].items():
            environment = {"image": image, "runtime": runtime, "HOME": "/root"}
            outcomes[chapter] = course.play(steps, prelude, support.SLOW, **environment)
    return outcomes


def _noted(engine: str, chapter: str, rows: list[dict[str, object]]) -> None:
    if OUT.is_dir():
        with (OUT / "engines.jsonl").open("a") as file:
            row = {"engine": engine, "usual": USUAL[engine], "chapter": chapter, "steps": rows}
            file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize(("engine", "chapter"), CHAPTERS, ids=map("-".join, CHAPTERS))
def test_a_chapter(played, engine: str, chapter: str) -> None:
    outcomes = played(engine)
    usual, ours = outcomes[USUAL[engine]][chapter], outcomes[PYRUNC][chapter]
    wrong, rows = [], []
    for step, one, other in zip(COURSES[engine][chapter], usual, ours, strict=True):
        found = _judged(step, one, other)
        wrong += [f"{step.name}: {found}"] if found else []
        rows.append({"name": step.name, "wrong": found, "usual": asdict(one), "ours": asdict(other),
                     "differs": step.differs})  # fmt: skip
    _noted(engine, chapter, rows)
    assert not wrong, "\n".join(wrong)


def _judged(step: Step, usual: course.Outcome, ours: course.Outcome) -> str:
    for runtime, outcome in (("the usual runtime", usual), ("pyrunc", ours)):
        if found := outcome.wrong(step):
            return f"{runtime}: {found}"
    same = (usual.out, usual.code) == (ours.out, ours.code)
    if not same and not step.differs:
        return f"not alike: {usual} and {ours}"
    return ""
