# SPDX-License-Identifier: Apache-2.0
"""Runs the decoder of pyrunc-init itself (tests/c/plan_dump.c) over plans."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from struct import pack, unpack_from
from typing import NamedTuple

from pyrunc.plan import wire
from pyrunc.plan.steps import Step

TOP = Path(__file__).resolve().parent.parent.parent
SOURCES = (TOP / "tests" / "c" / "plan_dump.c", TOP / "csrc" / "init" / "plan.c")
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# The leak check needs ptrace, which a container may not have; nothing here is about leaks.
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1",
}


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def build(target: Path, *options: str) -> Path:
    warnings = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror")
    sources = map(str, SOURCES)
    subprocess.run([str(compiler()), *warnings, *options, *sources, "-o", str(target)], check=True)
    return target


def why_not_sanitized(directory: Path) -> str:
    """Why a sanitized program cannot be built or run here, or ""."""
    source, target = directory / "try.c", directory / "try"
    source.write_text("int main(void) { return 0; }\n")
    command = [str(compiler()), *SANITIZE, str(source), "-o", str(target)]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    if built.returncode != 0:
        return f"no sanitizer runtime: {built.stderr.strip().splitlines()[-1]}"
    ran = subprocess.run([str(target)], check=False, capture_output=True, text=True)
    return f"a sanitized program does not run: {ran.stderr[:200]}" if ran.returncode else ""


class Answer(NamedTuple):
    """What the decoder said about one plan; no steps where it was only walked."""

    accepted: bool
    header: tuple[int, ...] = ()
    steps: tuple[str, ...] = ()


def ask(program: Path, plans: Sequence[bytes], scratch: Path, *arguments: str) -> list[Answer]:
    """The decoder's answers. Through files, so that neither side waits for the other."""
    scratch.write_bytes(b"".join(pack("=I", len(plan)) + plan for plan in plans))
    with scratch.open("rb") as stdin:
        done = subprocess.run(
            [str(program), *arguments],
            check=False, stdin=stdin, capture_output=True, text=True, env=ENVIRONMENT,
        )  # fmt: skip
    assert done.returncode == 0, f"exit {done.returncode}:\n{done.stderr}"
    assert done.stderr == ""
    answers = parse(done.stdout)
    assert len(answers) == len(plans)
    return answers


def parse(output: str) -> list[Answer]:
    answers: list[Answer] = []
    steps: list[str] = []
    header: tuple[int, ...] = ()
    for line in output.splitlines():
        if line == "reject":
            answers.append(Answer(False))
        elif line.startswith("plan "):
            header, steps = tuple(map(int, line.split()[1:])), []
        elif line == "end":
            answers.append(Answer(True, header, tuple(steps)))
        else:
            steps.append(line)
    return answers


def expected(step: Step) -> str:
    """The line that the decoder is to print for a step."""
    words = [str(step.OPCODE)]
    for name, kind in step.FIELDS:
        value = step.__dict__[name]
        if kind in (wire.NUMBER, wire.REGISTER):
            words.append(f"{kind}:{int(value) % 2**64}")
        elif value is None:
            words.append("s-")
        elif kind in (wire.STRING, wire.OPTIONAL):
            words.append(f"s:{_hex(value)}")
        elif kind == wire.BYTES:
            words.append(f"b:{value.hex()}")
        else:
            words.append("l:" + "".join(f",{_hex(item)}" for item in value))
    return " ".join(words)


def _hex(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").hex()


def records(plan: bytes) -> list[bytes]:
    """A plan's records, cut apart by their sizes; without the texts behind them."""
    found = []
    at = wire.HEADER_BYTES
    (texts,) = unpack_from("=I", plan, wire.HEADER_BYTES - 4)
    while at < len(plan) - texts:
        (size,) = unpack_from("=I", plan, at + 4)
        found.append(plan[at : at + size])
        at += size
    return found
