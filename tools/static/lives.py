# SPDX-License-Identifier: Apache-2.0
"""Run by the seed: imports the command, lives some lives with it, and has the image written.

    PYRUNC_SEED_PATH=STDLIB seed lives.py MODULES PYRUNC-INIT WORK NUMBER IMAGE

WORK has the bundles that the lives are of (build.py). Why lives: the interpreter specialises its
bytecode to what it sees (PEP 659), which is a write to the code, and fills caches. What a dozen
lives have written, no command writes again: each would copy those pages. More lives add nothing.
"""

import codecs
import encodings
import gc
import marshal
import os
import sys
from _frozen_importlib import BuiltinImporter, ModuleSpec

import _image


class Compiled:
    """Loads what modules.py has compiled (importlib's finder and loader protocols)."""

    code = {}  # noqa: RUF012

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """Say where a module comes from."""
        if name in sys.builtin_module_names:
            return ModuleSpec(name, BuiltinImporter, origin="built-in")
        if name not in cls.code:
            return None
        is_package, origin, _ = cls.code[name]
        return ModuleSpec(name, cls, origin=origin, is_package=is_package)

    @staticmethod
    def create_module(spec):
        """Python's own way to make one will do."""

    @classmethod
    def exec_module(cls, module):
        """Run its code. __file__ is what it would be, relative: nothing is opened there."""
        module.__file__ = module.__spec__.origin
        exec(marshal.loads(cls.code[module.__name__][2]), module.__dict__)  # noqa: S102, S302


def read(path):
    """A file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def import_all(modules):
    """Everything, from memory: no module is looked for in a directory."""
    Compiled.code = marshal.loads(read(modules))  # noqa: S302
    sys.meta_path.insert(0, Compiled)
    # What the interpreter needed to start came from files, and knows their paths.
    codecs.unregister(encodings.search_function)
    for name in [name for name in sys.modules if name.partition(".")[0] == "encodings"]:
        del sys.modules[name]
    for name in Compiled.code:
        __import__(name)
    Compiled.code = {}
    sys.meta_path.remove(Compiled)
    sys.path[:] = []
    sys.path_importer_cache.clear()


def embed(init):
    """Put the package's file into memory, and say what is not in it."""
    from pyrunc.kernel import bus
    from pyrunc.lifecycle import launch

    launch.EMBEDDED = read(init)
    if bus.MISSING:
        bus.MISSING = "the static executable has no D-Bus client yet"
        bus.HINT = "pip install pyrunc, whose command has libsystemd's"


def live(work, number):
    """So many lives, in silence.

    Raises:
        SystemExit: a command failed: the image would hold its traces.
    """
    from pyrunc.cli.main import run

    null = os.open(os.devnull, os.O_RDWR)
    kept = [os.dup(fd) for fd in range(3)]
    for fd in range(2):
        os.dup2(null, fd)
    for turn in range(number):
        name = f"pyrunc-build-{turn}"
        for command in (
            ("create", "--pid-file", f"{work}/pid", "-b", f"{work}/sleeps", name),
            ("state", name),
            ("start", name),
            ("exec", name, "/bin/true"),
            ("list",),
            ("list", "-f", "json"),
            ("state", name),
            ("ps", name),
            ("kill", name, "0"),
            ("delete", "-f", name),
            ("run", "-b", f"{work}/ends", name),
            ("--version",),
        ):
            code = run(["--root", f"{work}/root", *command])
            os.chdir("/")
            if code:
                raise SystemExit(f"lives: {' '.join(command)}: exit code {code}")
    sys.stdout.flush()
    for fd in range(3):
        os.dup2(kept[fd], fd)
        os.close(kept[fd])
    os.close(null)


def main(modules, init, work, number, image):
    """Make the image."""
    # Nothing is collected: a command ends before it would pay.
    gc.disable()
    import_all(modules)
    embed(init)
    before = {name: globals_of(name) for name in ours()}
    gc.collect()
    # Before the lives too: bytecode that loads a constant specialises by whether it is immortal.
    _image.immortalise()
    live(work, int(number))
    refuse_remains(before)
    import renew

    from pyrunc.cli import main as command

    renew.forget()
    gc.collect()
    print(f"lives: {_image.immortalise()} objects", file=sys.__stderr__ or Stderr)
    gc.freeze()
    _image.keep(image, renew.renew, command.main)


class Stderr:
    """What is left of the standard streams once renew.forget() has been called."""

    @staticmethod
    def write(text):
        """To the builder."""
        os.write(2, text.encode())


# What the lives may leave in the package's modules.
REMAINS = {
    # Which signals a fork's child forgets: registered once, and asked only while one is caught.
    "pyrunc.lifecycle.signals": {"_forks"},
}


def refuse_remains(before):
    """A module that keeps something of a life would tell it to every command.

    Raises:
        SystemExit: one does.
    """
    for name in ours():
        changed = {key for key, _ in before[name].items() ^ globals_of(name).items()}
        if changed - REMAINS.get(name, set()):
            raise SystemExit(f"lives: {name} keeps what it was told: {sorted(changed)}")


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


main(*sys.argv[1:])
