# SPDX-License-Identifier: Apache-2.0
"""The executable and the plain command, called alike 100,000 times: same exit codes, same words.

    make fuzz
    .venv/bin/python -m tests.fuzz.fuzz --lines 300 --seed 7

Nothing outside is touched (sandbox.py). Lines come in episodes of thirty, in which containers live
on from one to the next; a difference is told with the number that makes the episode again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from pyrunc.cli.table import COMMANDS
from tests.fuzz.lines import Lines
from tests.fuzz.sandbox import Line, Result, Sandbox, end_with_parent

TOP = Path(__file__).resolve().parents[2]

EPISODE = 30
# What is not the same and need not be: time, pids, and what a container has used.
_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_PID = re.compile(rb"\b1000\d\d\b")
_NUMBER = re.compile(rb"\d+(\.\d+)?")
_SPACES = re.compile(rb" +")
_RANDOM = re.compile(rb"\bexec-[0-9a-f]{12}\b")


def main() -> int:
    options = arguments()
    if os.geteuid() != 0:
        print("fuzz: needs root: it makes namespaces, and containers in them", file=sys.stderr)
        return 2
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, end)
    episodes = range(options.seed, options.seed - (-options.lines // EPISODE))
    pipes = []
    for job in range(options.jobs):
        receive, send = os.pipe()
        if os.fork() == 0:
            code = 1
            try:
                end_with_parent(signal.SIGTERM)
                os.dup2(send, 1)
                code = work(options, job, episodes[job :: options.jobs])
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(send)
        pipes.append(os.fdopen(receive))
    total: Counter[str] = Counter()
    while pipes:
        for pipe in select.select(pipes, [], [])[0]:
            line = pipe.readline()
            if not line:
                pipes.remove(pipe)
            elif line.startswith("count "):
                total.update(json.loads(line[len("count ") :]))
            else:
                print(line, end="", flush=True)
    failed = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(options.jobs)]
    succeeded = " ".join(f"{name} {n}" for name, n in sorted(total.items()) if name.islower())
    seconds = time.monotonic() - begin
    print(f"{total['LINES']} lines, {total['DIFFERENT']} differences, {seconds:.0f} s")
    print(f"with success: {succeeded}")
    return 1 if total["DIFFERENT"] or any(failed) else 0


def end(number: int, _: object) -> None:
    """Ended from outside it still removes its cgroups, undisturbed; so do its workers."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def work(options: argparse.Namespace, job: int, episodes: range) -> int:
    """Some of the episodes, in a pair of sandboxes."""
    plain = [os.fsencode(sys.executable), b"-I", b"-X", b"utf8", os.fsencode(options.plain)]
    programs = {"executable": [os.fsencode(options.executable)], "plain": plain}
    busybox = str(shutil.which("busybox"))
    sides: list[Sandbox] = []
    count: Counter[str] = Counter()
    try:
        for name, program in programs.items():
            sides.append(Sandbox(f"pyrunc-fuzz-{os.getpid()}-{name}", program, busybox))
        for number in episodes:
            episode(sides, number, count)
            if count["DIFFERENT"] >= options.most:
                break
    finally:
        for side in sides:
            side.close()
    print("count", json.dumps(count), flush=True)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first episode")
    parser.add_argument("--most", type=int, default=50, help="end after so many differences")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--executable", default=str(TOP / "dist" / "pyrunc"))
    parser.add_argument("--plain", default=f"{sys.prefix}/bin/pyrunc")
    return parser.parse_args()


def episode(sides: list[Sandbox], number: int, count: Counter[str]) -> None:
    """Run one. It ends with the first difference: what comes after may be its consequence."""
    lines = Lines(number)
    bundles = lines.bundles()
    for side in sides:
        side.ask(bundles)
    for place in range(EPISODE):
        line = lines.line()
        for side in sides:
            side.ask(line)
        results = [side.answer() for side in sides]
        count["LINES"] += 1
        if alike(line, results[0]) != alike(line, results[1]):
            tell(number, place, line, results)
            count["DIFFERENT"] += 1
            return
        if results[0].code == 0:
            count.update(x for x in COMMANDS if x.encode() in line.arguments)
        if "took too long" in (results[0].code, results[1].code):
            return  # of both; who was killed may have left something half done


def alike(line: Line, result: Result) -> Result:
    """A result without what differs from one call to the next of the same command."""
    words = set(line.arguments)

    def text(data: bytes) -> bytes:
        data = _RANDOM.sub(b"exec-RANDOM", _PID.sub(b"PID", _TIME.sub(b"TIME", data)))
        if words & {b"events", b"inspect", b"metrics", b"ps"}:
            data = _NUMBER.sub(b"N", data)
        return _SPACES.sub(b" ", data)

    files = tuple((name, text(data)) for name, data in result.files)
    out, err = text(result.out), text(result.err)
    if words & {b"features", b"--version", b"-version", b"-v", b"version"}:
        out = b""  # names what is in the executable
    return Result(result.code, out, err, files)


def tell(number: int, place: int, line: Line, results: list[Result]) -> None:
    print(f"episode {number}, line {place}: {[os.fsdecode(x) for x in line.arguments]}")
    print(f"  environment {dict(line.environment)}")
    if line.closed or line.full or line.ignored:
        print(f"  closed {line.closed}, full {line.full}, ignored {line.ignored}")
    for name, result in zip(("executable", "plain"), results, strict=True):
        print(f"  {name}: {result.code}")
        for kind, data in (("out", result.out), ("err", result.err), *result.files):
            if data:
                print(f"    {kind}: {data[-800:]!r}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
