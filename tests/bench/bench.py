# SPDX-License-Identifier: Apache-2.0
"""pyrunc against runc and crun, in one run; writes docs/benchmarks.md.

    make bench
    CRUN_TREE=/path/to/tree make bench            # crun from a trixie tree, all on cgroup v2
    .venv/bin/python tests/bench/bench.py --make-tree /path/to/tree

What counts are ratios: in each round all runtimes do the same, in an order that rotates, and
what the machine does meanwhile meets all of them. Times stand beside them as information.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path[:0] = [str(TOP), str(TOP / "tests"), str(HERE)]

import report  # noqa: E402
import rounds  # noqa: E402
from worker import Refused, Worker  # noqa: E402


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
        line = ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv]
        os.execvp("unshare", [*line, "--inside"])
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
    tree = os.environ.get("CRUN_TREE", "")
    if tree:
        # Before the bundles are made: `runc spec` writes a cgroup namespace only on pure v2.
        rounds.enter_v2_view()
    scratch = rounds.prepare_scratch()
    if tree:
        rounds.prepare_tree(Path(tree).resolve(), scratch)
    workers, notes = [], []
    for name, program, root in runtimes(Path(tree).resolve() if tree else None):
        worker = Worker(name, program, root, scratch)
        try:
            rounds.try_once(worker)
            workers.append(worker)
        except Refused as error:
            notes.append(f"{name} was not measured: {error}")
            print(notes[-1], file=sys.stderr)
            worker.close()
    if [worker.name for worker in workers][:2] != ["pyrunc", "runc"]:
        print("bench: pyrunc and runc have to work", file=sys.stderr)
        return 1
    results = rounds.Results()
    for number in range(options.rounds):
        turn = number % len(workers)
        rounds.one_round(workers[turn:] + workers[:turn], results)
        print(f"\rround {number + 1} of {options.rounds}", end="", file=sys.stderr)
    print(file=sys.stderr)
    versions = {worker.name: worker.version() for worker in workers}
    for worker in workers:
        worker.close()
    text = report.document(results, versions, options.rounds, notes)
    options.output.write_text(text)
    print(text)
    return 0


def runtimes(tree: Path | None) -> list[tuple[str, str, str]]:
    """Each runtime's name, program, and the root directory in which it runs."""
    found = [
        ("pyrunc", str(Path(sys.prefix) / "bin" / "pyrunc"), "/"),
        ("runc", str(shutil.which("runc")), "/"),
    ]
    if tree:
        found.append(("crun", "/usr/bin/crun", str(tree)))
    elif crun := shutil.which("crun"):
        found.append(("crun", crun, "/"))
    return found


if __name__ == "__main__":
    sys.exit(main())
