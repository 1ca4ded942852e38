# SPDX-License-Identifier: Apache-2.0
"""config.md, POSIX-platform Hooks; runtime.md, Lifecycle."""

from __future__ import annotations

import json
import os
import time

from clauses import holds
from harness import Box, Broken, equal, true

HOOKS = "config.md, POSIX-platform Hooks"
LIFE = "runtime.md, Lifecycle"
KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
IN_CREATE = ["prestart", "createRuntime", "createContainer"]
OUTSIDE = ["prestart", "createRuntime", "poststart", "poststop"]


def answers(box: Box, question: str) -> list[str]:
    return [text for _, asked, text in box.hook_answers() if asked == question]


@holds("hooks.run", HOOKS, "a hook of each kind is run", KINDS)
def case_run(box: Box, it: str) -> None:
    seen = box.hook(it, "cwd").run_hooks()
    equal("hooks that ran", [it], [label for label, _, _ in seen])


@holds("hooks.order", HOOKS, "hooks of one kind run in their order", KINDS)
def case_order(box: Box, it: str) -> None:
    for name in "cab":
        box.hook(it, "cwd", name=name)
    equal("order", ["c", "a", "b"], [label for label, _, _ in box.run_hooks()])


@holds("hooks.order.life", LIFE, "the kinds come in the order of a container's life")
def case_order_of_life(box: Box) -> None:
    for kind in reversed(OUTSIDE):
        box.hook(kind, "cwd")
    equal("order", OUTSIDE, [label for label, _, _ in box.run_hooks()])


@holds("hooks.time", LIFE, "a kind runs within its operation: create, start or delete", KINDS)
def case_time(box: Box, it: str) -> None:
    box.hook(it, "cwd").create("exit:0")
    seen = ["create"] if box.hook_answers() else []
    box.start().wait()
    seen += ["start"] if box.hook_answers() and not seen else []
    box.until("stopped")
    box.delete()
    seen += ["delete"] if box.hook_answers() and not seen else []
    wanted = "create" if it in IN_CREATE else "delete" if it == "poststop" else "start"
    equal("operation", [wanted], seen)


@holds("hooks.state", HOOKS, "the state is on its stdin", KINDS)
def case_state(box: Box, it: str) -> None:
    box.put({"annotations": {"org.example.key": "value"}}).hook(it, "stdin").run_hooks()
    [text] = answers(box, "stdin")
    try:
        state = json.loads(text)
    except ValueError:
        raise Broken("a JSON document on stdin", text) from None
    equal("id", box.id, state.get("id"))
    equal("bundle", str(box.bundle), state.get("bundle"))
    equal("annotations", {"org.example.key": "value"}, state.get("annotations"))
    true(state.get("ociVersion"), "ociVersion", state)


STATUS = {
    "prestart": {"creating", "created"}, "createRuntime": {"creating"},
    "createContainer": {"creating"}, "startContainer": {"created"}, "poststart": {"running"},
    "poststop": {"stopped"},
}  # fmt: skip


@holds("hooks.state.status", HOOKS, "status tells where in its life the container is", KINDS)
def case_status(box: Box, it: str) -> None:
    box.hook(it, "stdin").run_hooks()
    [text] = answers(box, "stdin")
    # runtime.md lets `created` begin before the hooks of create have run.
    wanted = STATUS[it] | ({"created"} if it in IN_CREATE else set())
    seen = json.loads(text).get("status")
    true(seen in wanted, " or ".join(sorted(wanted)), seen)


@holds("hooks.state.pid", HOOKS, "pid is the container's, as the runtime sees it",
       ["prestart", "createRuntime", "poststart"])  # fmt: skip
def case_pid(box: Box, it: str) -> None:
    box.hook(it, "stdin").run_hooks()
    [text] = answers(box, "stdin")
    equal("pid", box.pids[0], json.loads(text).get("pid"))


@holds("hooks.args", HOOKS, "args are the hook's argument vector, args[0] too", KINDS)
def case_args(box: Box, it: str) -> None:
    box.hook(it, "args")
    box.config["hooks"][it][0]["args"][0] = "another name"
    box.config["hooks"][it][0]["args"].append("label:a b")
    box.run_hooks()
    [text] = answers(box, "args")
    true(text.startswith("another name\n") and text.endswith("args\nlabel:a b\n"), "as given", text)


@holds("hooks.env", HOOKS, "env is the hook's environment", KINDS)
def case_env(box: Box, it: str) -> None:
    box.hook(it, "env", env=["ONLY=this", "TWO=a=b"]).run_hooks()
    [text] = answers(box, "env")
    equal("environment", ["ONLY=this", "TWO=a=b"], sorted(text.splitlines()))


@holds("hooks.namespaces.runtime", HOOKS, "runs in the namespaces of the runtime", OUTSIDE)
def case_outside(box: Box, it: str) -> None:
    box.hook(it, "ns:mnt", "ns:pid", "ns:uts").run_hooks()
    for kind in ("mnt", "pid", "uts"):
        equal(kind, [os.readlink(f"/proc/self/ns/{kind}")], answers(box, f"ns:{kind}"))


@holds("hooks.namespaces.container", HOOKS, "runs in the namespaces of the container",
       ["createContainer", "startContainer"])  # fmt: skip
def case_inside(box: Box, it: str) -> None:
    questions = [f"ns:{kind}" for kind in ("pid", "uts", "ipc")]
    box.hook(it, *questions).create(*questions)
    box.start().wait()
    own = box.answers()
    for question in questions:
        # Before pivot_root(2) the host's /proc is seen, where /proc/self is the host's too.
        seen = answers(box, question)
        true(seen in ([own[question]], ["ENOENT"]), own[question], seen)


@holds("hooks.startContainer.root", HOOKS, "startContainer's path is in the container")
def case_start_container_root(box: Box) -> None:
    box.hook("startContainer", "list:/").run_hooks()
    true("probe" in answers(box, "list:/")[0].split(), "the container's /", answers(box, "list:/"))


@holds(
    "hooks.createRuntime.before-pivot",
    LIFE,
    "createRuntime: namespaces exist, root not yet entered",
)
def case_before_pivot(box: Box) -> None:
    box.hook("createRuntime", "list:/", "stdin").create("pid")
    seen = answers(box, "list:/")[0].split()
    true("etc" in seen or "usr" in seen, "the runtime's /", seen)


@holds(
    "hooks.prestart.first", LIFE, "prestart runs before createRuntime, that before createContainer"
)
def case_prestart_first(box: Box) -> None:
    for kind in reversed(IN_CREATE):
        box.hook(kind, "cwd")
    equal("order", IN_CREATE, [label for label, _, _ in box.create("pid").hook_answers()])


@holds("hooks.startContainer.before-program", LIFE, "startContainer runs before the program does")
def case_before_the_program(box: Box) -> None:
    box.hook("startContainer", "cwd").ask("list:/")
    true("hooked" in box.answers()["list:/"].split(), "the hook's file is there", box.answers())


@holds("hooks.poststart.after-program", LIFE, "poststart runs after the program was started")
def case_after_the_program(box: Box) -> None:
    box.hook("poststart", "stdin", "cwd").create("signal").start()
    [text] = answers(box, "stdin")
    equal("status", "running", json.loads(text)["status"])


@holds(
    "hooks.failure.create",
    LIFE,
    "failing, it makes create fail, and the container is gone",
    IN_CREATE,
)
def case_create_fails(box: Box, it: str) -> None:
    box.hook(it, "cwd", "exit:3").refused()


@holds("hooks.failure.next", HOOKS, "no hook runs after one of its kind that failed", IN_CREATE)
def case_next(box: Box, it: str) -> None:
    box.hook(it, "cwd", "exit:1", name="one").hook(it, "cwd", name="two")
    box.try_create()
    equal("hooks that ran", ["one"], [label for label, _, _ in box.hook_answers()])


@holds("hooks.failure.start", LIFE, "failing, it makes start fail, and the container stops",
       ["startContainer", "poststart"])  # fmt: skip
def case_start_fails(box: Box, it: str) -> None:
    box.hook(it, "cwd", "exit:3").create("signal")
    code, _ = box.runtime("start", box.id, out=box.out)
    if it == "poststart":
        true(code != 0, "start: an error", "success")
    deadline = time.monotonic() + 5
    while box.exists() and box.state()["status"] != "stopped":
        true(time.monotonic() < deadline, "stopped, or gone", box.state()["status"])
        time.sleep(0.02)
    if it == "startContainer":
        equal("what the program says", {}, box.answers())


@holds("hooks.failure.poststop", LIFE, "a poststop hook that fails is a warning, the next ones run")
def case_poststop_fails(box: Box) -> None:
    box.hook("poststop", "cwd", "exit:3", name="one").hook("poststop", "cwd", name="two")
    box.create("exit:0").start().wait()
    box.until("stopped")
    code, text = box.runtime("delete", box.id, out=box.out)
    equal("hooks that ran", ["one", "two"], [label for label, _, _ in box.hook_answers()])
    equal("delete", 0, code)
    true(not box.exists(), "the container is gone", text)


@holds("hooks.timeout", HOOKS, "a hook that takes longer than timeout is ended: it has failed",
       ["createRuntime", "createContainer"])  # fmt: skip
def case_timeout(box: Box, it: str) -> None:
    began = time.monotonic()
    box.hook(it, "sleep:9", timeout=1).refused()
    true(time.monotonic() - began < 8, "it is ended after 1 s", f"{time.monotonic() - began:.1f} s")


@holds("hooks.path.absolute", HOOKS, "path must be absolute", ["createRuntime", "startContainer"])
def case_relative_path(box: Box, it: str) -> None:
    box.hook(it, "cwd")
    box.config["hooks"][it][0]["path"] = "probe"
    box.refused(by="start" if it == "startContainer" else "create")


@holds("hooks.path.missing", HOOKS, "a program that is not there: an error", ["createRuntime"])
def case_missing(box: Box, it: str) -> None:
    box.put({f"hooks/{it}": [{"path": "/no/such/hook"}]}).refused()


@holds("hooks.timeout.positive", HOOKS, "timeout must be greater than zero", [0, -1])
def case_bad_timeout(box: Box, it: int) -> None:
    box.hook("createRuntime", "cwd", timeout=it).refused()
