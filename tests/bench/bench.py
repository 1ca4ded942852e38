# SPDX-License-Identifier: Apache-2.0
"""pyrunc against runc and crun, in one run; writes docs/benchmarks.md.

    make bench
    CRUN_TREE=/path/to/tree make bench      # crun and runc from a tree, all on cgroup v2
    .venv/bin/python -m tests.bench.bench --make-tree /path/to/tree

What counts are ratios: in each round all runtimes do the same, in an order that rotates, and
what the machine does meanwhile meets all of them. Times stand beside them as information.
"""

from __future__ import annotations

import argparse
import compileall
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import commands, report, rounds
from tests.bench.worker import Refused, Runtime, Worker
from tests.lib import support

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent


def main() -> int:
    options = arguments()
    if options.make_tree:
        script = str(HERE / "make_tree.sh")
        os.execv(script, [script, options.make_tree])
    if os.geteuid() != 0 or not shutil.which("runc") or not shutil.which("busybox"):
        print("bench: needs root, runc and busybox-static", file=sys.stderr)
        return 1
    if not options.inside:
        # A mount namespace of our own: what is mounted for the benchmark ends with it.
        line = ["unshare", "-m", "--propagation", "private", sys.executable, "-m"]
        os.execvp("unshare", [*line, "tests.bench.bench", *sys.argv[1:], "--inside"])
    return measure(options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=40)
    parser.add_argument("-o", "--output", type=Path, default=TOP / "docs" / "benchmarks.md")
    parser.add_argument("--make-tree", metavar="DIR", help="only make a tree with crun in it")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> int:
    # What `make build` does: a file changed since would be compiled anew by every command.
    if not compileall.compile_dir(str(TOP / "pyrunc"), quiet=1):
        return 1
    tree = Path(os.environ["CRUN_TREE"]).resolve() if os.environ.get("CRUN_TREE") else None
    if tree:
        # Before the bundles are made: `runc spec` writes a cgroup namespace only on pure v2.
        rounds.enter_v2_view()
    scratch = rounds.prepare_scratch()
    # On a disk, as programs are.
    with tempfile.TemporaryDirectory(prefix="pyrunc-bench-", dir="/var/tmp") as programs:
        os.chmod(programs, 0o755)
        found = runtimes(tree, Path(programs))
        if tree:
            rounds.prepare_tree(tree, scratch, Path(programs))
        text = compared(found, scratch, options.rounds)
    if not text:
        return 1
    options.output.write_text(text)
    print(text)
    return 0


def compared(runtimes: list[Runtime], scratch: Path, number: int) -> str:
    """The report; "" where pyrunc or runc does not work."""
    workers, notes, versions = [], [], {}
    library = Worker(Runtime("library", (), "/"), lambda: commands.Library(scratch))
    try:
        for runtime in runtimes:
            worker = Worker(runtime, functools.partial(commands.Commands, runtime, scratch))
            workers.append(worker)
            try:
                versions[runtime.name] = worker.call("version")
                # One of everything: warms the caches, and shows what does not work.
                for measure in ("steps", "run", "peak"):
                    worker.call(measure)
            except Refused as error:
                notes.append(f"{runtime.name} was not measured: {error}")
                print(notes[-1], file=sys.stderr)
                versions.pop(runtime.name, None)
                workers.pop().close()
        if not {"pyrunc", "runc"} <= versions.keys():
            print("bench: pyrunc and runc have to work", file=sys.stderr)
            return ""
        results = rounds.measured(workers, library, number)
    finally:
        for worker in (*workers, library):
            worker.close()
    return report.document(results, versions, number, notes)


def runtimes(tree: Path | None, place: Path) -> list[Runtime]:
    """All columns. What is one file is copied, and runs in the tree where there is one."""
    inside = tree or Path("/")
    programs = {"pyrunc": TOP / "dist" / "pyrunc", "runc": Path(str(shutil.which("runc")))}
    for name in ("runc", "crun"):
        if found := shutil.which(name, path=f"{inside}/usr/bin:{inside}/usr/sbin"):
            programs[name] = Path(found)
    found = [
        Runtime(name, (path,), str(inside)) for name, path in rounds.copied(programs, place).items()
    ]
    plain = Runtime("plain", (support.PLAIN,), "/")
    return [found[0], plain, *found[1:]]


if __name__ == "__main__":
    sys.exit(main())
