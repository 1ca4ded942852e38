# SPDX-License-Identifier: Apache-2.0
"""Run by the seed: imports the command, runs container lives with it, and writes the image.

    cd WORK && seed STDLIB .../lives.py NUMBER

WORK has modules.py's `modules`, `pyrunc-init`, `versions` and the bundles of the lives, `sleeps`,
`ends` and `engine` (build.py); the image is `pyrunc` there. No path is an argument: what this
script holds while objects are made immortal stays in the image.

Why lives: the interpreter specialises its bytecode to what it sees (PEP 659), which is a write to
the code, and fills caches. In the image it does neither (libraries.sh), because each command would
copy those pages again: what a dozen lives have run is specialised, other code runs as on its first
call.
"""

import codecs
import gc
import marshal
import os
import sys
from _frozen_importlib import BuiltinImporter, ModuleSpec, module_from_spec

import _image

# The modules that a container's life uses, in that order. Their code is loaded first, before any is
# imported: what is read together is adjacent, whatever the order of imports.
FIRST = (
    "pyrunc.cli.main", "pyrunc.cli.parse", "pyrunc.cli.table", "pyrunc.cli.log", "pyrunc.cli.root",
    "pyrunc.cli.values", "pyrunc.errors", "pyrunc.jsontext", "pyrunc.kernel.descriptor",
    "pyrunc.lifecycle.roots",
    "pyrunc.lifecycle.store", "pyrunc.lifecycle.state", "pyrunc.lifecycle.status",
    "pyrunc.cgroups", "pyrunc.cli.state", "pyrunc.observe.listing", "pyrunc.cli.list",
    "pyrunc.lifecycle.locking", "pyrunc.lifecycle.kill", "pyrunc.cli.kill",
    "pyrunc.lifecycle.start", "pyrunc.cli.start", "pyrunc.lifecycle.delete", "pyrunc.cli.delete",
    "pyrunc.cgroups.layout", "pyrunc.cgroups.directories", "pyrunc.cgroups.tree",
    "pyrunc.cgroups.cgroup", "pyrunc.cgroups.cgroup_v2", "pyrunc.cgroups.cgroup_v1",
    "pyrunc.cgroups.fs", "pyrunc.cgroups.manager", "pyrunc.cgroups.fs_v2", "pyrunc.cgroups.fs_v1",
    "pyrunc.cgroups.join", "pyrunc.lifecycle.launch", "pyrunc.lifecycle.handshake",
    "pyrunc.kernel.calls", "pyrunc.kernel.pidfd", "pyrunc.lifecycle.caller_io",
    "pyrunc.lifecycle.parent_setup",
    "pyrunc.spec.load", "pyrunc.spec.fields", "pyrunc.spec.check", "pyrunc.spec.check_process",
    "pyrunc.spec.check_linux", "pyrunc.spec.check_resources", "pyrunc.host.facts",
    "pyrunc.plan.encode", "pyrunc.plan.step", "pyrunc.plan.steps", "pyrunc.plan.context",
    "pyrunc.plan.process", "pyrunc.lifecycle.exec", "pyrunc.cli.exec", "pyrunc.plan.joining",
    "pyrunc.popen", "pyrunc.process", "pyrunc.cli.create", "pyrunc.lifecycle.bundle",
    "pyrunc.lifecycle.create", "pyrunc.lifecycle.setup", "pyrunc.creation", "pyrunc.plan.compile",
    "pyrunc.plan.prepare", "pyrunc.plan.mounts", "pyrunc.plan.mount_options",
    "pyrunc.plan.namespaces", "pyrunc.plan.devices",
    "pyrunc.cgroups.place", "pyrunc.cgroups.check", "pyrunc.cgroups.write",
    "pyrunc.cgroups.devices", "pyrunc.cgroups.device_rules", "pyrunc.cgroups.device_bpf",
)  # fmt: skip


class Compiled:
    """Loads what modules.py has compiled (importlib's finder and loader protocols)."""

    code = {}  # noqa: RUF012

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """The module's spec, if it was compiled."""
        if name in sys.builtin_module_names:
            return ModuleSpec(name, BuiltinImporter, origin="built-in")
        if name not in cls.code:
            return None
        is_package, origin, _ = cls.code[name]
        return ModuleSpec(name, cls, origin=origin, is_package=is_package)

    @staticmethod
    def create_module(spec):
        """None: Python's default."""

    @classmethod
    def exec_module(cls, module):
        """Run its code. __file__ is relative: nothing is opened there."""
        module.__file__ = module.__spec__.origin
        exec(cls.code[module.__name__][2], module.__dict__)  # noqa: S102


def read(path):
    """A file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def import_all():
    """Import everything, from memory: no directory is searched."""
    Compiled.code = marshal.loads(read("modules"))  # noqa: S302
    sys.meta_path.insert(0, Compiled)
    # The interpreter's own were imported from files at its start, and hold their paths.
    codecs.unregister(sys.modules["encodings"].search_function)
    for name in [name for name in sys.modules if name.partition(".")[0] == "encodings"]:
        del sys.modules[name]
    for name in dict.fromkeys((*FIRST, *Compiled.code)):
        is_package, origin, data = Compiled.code[name]
        Compiled.code[name] = (is_package, origin, marshal.loads(data))  # noqa: S302
    # `import pyrunc` would import all the others in its own order: it runs after them.
    package = module_from_spec(Compiled.find_spec("pyrunc"))
    sys.modules["pyrunc"] = package
    for name in (*FIRST, *Compiled.code):
        __import__(name)
    Compiled.exec_module(package)
    Compiled.code = {}
    sys.meta_path.remove(Compiled)
    sys.path[:] = []
    sys.path_importer_cache.clear()
    import renew

    renew.drop_streams()


def embed():
    """Put pyrunc-init and the versions of the other components into memory."""
    from pyrunc.cli import version
    from pyrunc.lifecycle import launch

    launch.EMBEDDED = read("pyrunc-init")
    for line in read("versions").decode().splitlines():
        name, _, text = line.partition(": ")
        version.EMBEDDED[name] = text


def live(number):
    """Run this many lives, without output.

    Raises:
        SystemExit: a command failed: the image would contain its traces.
    """
    import renew

    from pyrunc.cli import main

    here = os.open(".", os.O_PATH)
    null = os.open(os.devnull, os.O_RDWR)
    kept = [os.dup(fd) for fd in range(3)]
    for fd in range(2):
        os.dup2(null, fd)
    renew.open_streams()
    for turn in range(number):
        name = f"pyrunc-build-{turn}"
        for command in (
            ("create", "--pid-file", "pid", "-b", "sleeps", name),
            ("state", name),
            ("start", name),
            ("exec", name, "/bin/true"),
            ("list",),
            ("list", "-f", "json"),
            ("state", name),
            ("ps", name),
            ("kill", name, "0"),
            ("delete", "-f", name),
            ("create", "--bundle", "engine", "--pid-file", "pid", name),
            ("start", name),
            ("exec", "--detach", "--pid-file", "pid", name, "/bin/true"),
            ("ps", "--format", "json", name),
            ("pause", name),
            ("resume", name),
            ("events", "--stats", name),
            ("kill", name, "KILL"),
            ("delete", "--force", name),
            ("run", "-b", "ends", name),
            ("--version",),
        ):
            code = main.run(["--root", "root", *command])
            os.fchdir(here)  # create has gone into the bundle
            if "--detach" in command:
                os.waitpid(int(read("pid")), 0)  # ours: the commands ran in this process
            if code:
                os.write(kept[2], f"lives: {' '.join(command)}: exit code {code}\n".encode())
                raise SystemExit(3)  # build.py then does without lives
    sys.stdout.flush()
    # Their buffers hold the output.
    renew.drop_streams()
    for fd in range(3):
        os.dup2(kept[fd], fd)
        os.close(kept[fd])
    os.close(null)
    os.close(here)


def main():
    """Make the image."""
    lives = number()
    os.environ._data.clear()
    # No collection: a command ends before it would pay.
    gc.disable()
    import_all()
    embed()
    before = {name: globals_of(name) for name in ours()}
    gc.collect()
    # Before the lives too: loads of constants specialise by whether these are immortal.
    _image.immortalise()
    live(lives)
    refuse_remains(before)
    import renew

    from pyrunc.cli.main import main as entry

    renew.forget()
    gc.collect()
    say(f"{_image.immortalise()} objects")
    gc.freeze()
    _image.keep("pyrunc", renew.renew, entry)


def say(text):
    """Report to the build."""
    os.write(2, f"lives: {text}\n".encode())


def refuse_remains(before):
    """Check that no module keeps anything of a life: every command would start with it.

    Raises:
        SystemExit: one does.
    """
    for name in ours():
        changed = {key for key, _ in before[name].items() ^ globals_of(name).items()}
        if changed:
            say(f"{name} keeps state of a life: {sorted(changed)}")
            raise SystemExit(1)


def ours():
    """The names of the package's modules."""
    return [name for name in sys.modules if name.partition(".")[0] == "pyrunc"]


def globals_of(name):
    """What a module's names are bound to; for a list or a dictionary its content, too."""
    found = {}
    for key, value in vars(sys.modules[name]).items():
        if not key.startswith("__"):
            content = repr(value) if isinstance(value, (dict, list, set, bytearray)) else ""
            found[key] = (id(value), content)
    return found


def number():
    """The argument of this script, removed from sys."""
    found = int(sys.argv[0])
    sys.argv[:] = sys.orig_argv[:] = ["pyrunc"]
    return found
