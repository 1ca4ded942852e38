# SPDX-License-Identifier: Apache-2.0
"""Command lines, environments and bundles by chance: mostly meant well, often a little wrong."""

from __future__ import annotations

import json
import random
import signal
from typing import Any

from pyrunc.cli.table import COMMANDS, FLAG, GLOBAL, INTEGER, LIST, NUMBER, Option
from tests.fuzz.sandbox import ROOT, WORK, Line

IDS = ("c1", "c1", "c1", "c2", "c2", "c3", "c4")
ODD = (
    "", "-", "--", "-1", "0", "1", "4294967296", "99999999999999999999", "true", "false", "t", "=",
    "a=b", ".", "..", "/", "../c1", "c1/..", "x" * 300, "\u00e9", "\ud7ff", "a\nb", "'", "%s",
    "\x1b[0m", "none", "-x", "--root", "json", "table", "text",
)  # fmt: skip
BYTES = (b"\xff", b"\xed\xa0\x80", b"a\xffb", b"\xc3")
VALUES = {
    "format": ("json", "table", "xml"), "log-format": ("json", "text", "x"),
    "log": ("log", "missing/log", "/dev/full"), "log-level": ("debug", "error", "warning", "x"),
    "rootless": ("auto", "true", "maybe"), "cgroup-manager": ("cgroupfs", "disabled", "systemd"),
    "user": ("0", "1000:1000", "1:", "root", "0:0:0"), "cwd": ("/", "/bin", "/none", "bin"),
    "env": ("A=1", "A", "=x", "PATH=/bin"), "cap": ("CAP_KILL", "kill", "CAP_NONE"),
    "pid-file": ("pid", "/none/pid", "pid"), "console-socket": ("none.sock", "/dev/null"),
    "process": (f"{WORK}/bundles/good/config.json", "none.json"), "interval": ("1s", "0", "x"),
    "resources": ("none.json", "-", f"{WORK}/bundles/good/config.json"),
    "memory": ("64m", "1g", "-1", "x"), "cpuset-cpus": ("0", "0-9999", "x"),
    "image-path": ("image",), "cgroup": ("sub", "../x", "cpu:sub"),
    "manage-cgroups-mode": ("soft", "x"), "config": (f"{WORK}/bundles/good/config.json", "none"),
}  # fmt: skip
# That `run` and an attached `exec` end by themselves.
PROGRAMS = (["true"], ["false"], ["sh", "-c", "exit 7"], ["id", "-u"], ["none"], ["cat"], [""])
VARIABLES: dict[bytes, tuple[bytes, ...]] = {
    b"PATH": (b"/bin:/usr/bin", b"", b"/none"),
    b"HOME": (b"/", b"", b"/none"),
    b"XDG_RUNTIME_DIR": (f"{WORK}/cwd".encode(), b"/none", b"x"),
    b"NOTIFY_SOCKET": (b"/none.sock", b"@x", b"x", b"" + b"y" * 200),
    b"LISTEN_FDS": (b"1", b"0", b"x", b"-1", b"99999"),
    b"LISTEN_PID": (b"1", b"100001", b"x"),
    b"TZ": (b"Asia/Tokyo", b"UTC", b":/none", b"x\xff"),
    b"LANG": (b"C", b"de_DE.UTF-8", b"tr_TR"),
    b"LC_ALL": (b"C", b"POSIX", b"ja_JP.SJIS"),
    b"TERM": (b"dumb", b"xterm"),
    b"COLUMNS": (b"1", b"x"),
    b"USER": (b"root", b"x", b""),
    b"PYTHONPATH": (b"/none",),
    b"PYTHONHASHSEED": (b"0", b"x"),
    b"PYTHONMALLOC": (b"debug",),
    b"PYTHONUTF8": (b"0", b"x"),
    b"PYTHONIOENCODING": (b"ascii", b"x"),
    b"DBUS_SYSTEM_BUS_ADDRESS": (b"unix:path=/none", b"x"),
    b"a\xff": (b"\xff", b""),
}
# A line in a hundred and more would only wait.
RARE = {"checkpoint": 0.2, "restore": 0.2, "events": 0.5, "run": 0.7, "man": 0.3, "completion": 0.3}


class Lines:
    """Lines of one episode: the same ones for the same number."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # Something to work on, in most episodes.
        self.first = [f"create -b {WORK}/bundles/good c1", "start c1"]
        self.first += [f"create -b {WORK}/bundles/good c2"]
        self.first = self.first[: self.random.choice((0, 1, 2, 3, 3, 3))]

    def bundles(self) -> dict[str, bytes]:
        good = self._config(["sleep", "1000"])
        ends = self._config(["true"])
        odd = self._config(["sleep", "1000"])
        self._damage(odd)
        text = json.dumps(self._config(["true"]))
        at = self.random.randrange(len(text))
        cut = text[:at] + self.random.choice(("", "{", '"', ",", "\\u0000", "x")) + text[at + 1 :]
        return {
            "good": json.dumps(good).encode(),
            "ends": json.dumps(ends).encode(),
            "odd": json.dumps(odd).encode(),
            "cut": cut.encode(),
            "bytes": b"\xff{}",
            "empty": b"",
        }

    def _config(self, program: list[str]) -> dict[str, Any]:
        from pyrunc.spec.template import default_spec

        config = default_spec(False, 0, 0, True)
        config["process"] |= {"terminal": False, "args": program}
        # No program of ours may read what the harness has, nor may the shared tree change.
        config["root"]["readonly"] = True
        return config

    def _damage(self, value: Any) -> None:
        """Change one thing, somewhere."""
        while isinstance(value, (dict, list)) and value:
            key = self.random.choice(list(value) if isinstance(value, dict) else range(len(value)))
            if self.random.random() < 0.3 or not isinstance(value[key], (dict, list)):
                other = (None, [], {}, "", "x", -1, 1 << 40, True, 0.5, ["x"], {"x": 1}, "/none")
                value[key] = self.random.choice(other)
                return
            value = value[key]

    def line(self) -> Line:
        chance = self.random.random
        if self.first:
            words = ["--root", ROOT, *self.first.pop(0).split()]
            return Line(tuple(map(_bytes, words)), ((b"PATH", b"/bin:/usr/bin"),))
        line: list[str | bytes] = []
        for option in self._some(GLOBAL, 0.06):
            if option.name not in ("root", "help", "version") or chance() < 0.02:
                line += self._option(option)
        command = self._command()
        line += ["--root", ROOT, *self._words(command)]
        arguments = tuple(x if isinstance(x, bytes) else _bytes(x) for x in line)
        return Line(
            arguments,
            self._environment(),
            closed=(self.random.randrange(3),) if chance() < 0.02 else (),
            full=chance() < 0.01,
            ignored=(signal.SIGPIPE, signal.SIGINT) if chance() < 0.03 else (),
        )

    def _command(self) -> str:
        while True:
            # Most of the others need a container that lives.
            often = 4 * ["create"] + 3 * ["start"] + 4 * ["exec"] + ["state"]
            name = self.random.choice([*COMMANDS, *often])
            if self.random.random() < RARE.get(name, 1.0):
                return name

    def _words(self, name: str) -> list[str | bytes]:
        chance, choice = self.random.random, self.random.choice
        command = COMMANDS[name]
        words: list[str | bytes] = []
        if name in ("create", "run"):
            bundle = "ends" if name == "run" else choice(("good", "good", "good", "ends"))
            if chance() < 0.3:
                bundle = choice(("odd", "odd", "cut", "bytes", "empty", "none"))
            words += ["--bundle", f"{WORK}/bundles/{bundle}"]
        if name == "events" and chance() < 0.98:
            words.append("--stats")
        for option in self._some(command.options, 0.04):
            words += self._option(option)
        if command.least:
            words.append(choice(IDS) if chance() < 0.95 else self._odd())
        if name == "exec" and chance() < 0.9:
            words += choice(PROGRAMS)
        if name == "kill" and chance() < 0.8:
            words.append(choice(("KILL", "9", "TERM", "0", "SIGKILL", "65", "x", "sigkill")))
        if name in ("man", "help", "completion"):
            words.append(choice((*COMMANDS, "bash", "zsh", "fish")))
        words.insert(0, name if chance() < 0.97 else self._mistyped(name))
        return self._disturbed(words)

    def _disturbed(self, words: list[str | bytes]) -> list[str | bytes]:
        kind = self.random.random()
        place = self.random.randrange(len(words))
        if kind < 0.04:
            words.insert(place, self._odd())
        elif kind < 0.06:
            del words[place]
        elif kind < 0.08:
            words.insert(place, words[self.random.randrange(len(words))])
        elif kind < 0.11 and isinstance(words[place], str):
            words[place] = self._mistyped(str(words[place]))
        return words

    def _odd(self) -> str | bytes:
        return self.random.choice(BYTES if self.random.random() < 0.1 else ODD)

    def _mistyped(self, word: str) -> str:
        place = self.random.randrange(len(word) + 1)
        return (
            word[:place] + self.random.choice("-=xX \n0") + word[place + self.random.randrange(2) :]
        )

    def _some(self, options: tuple[Option, ...], part: float) -> list[Option]:
        return [option for option in options if self.random.random() < part]

    def _option(self, option: Option) -> list[str | bytes]:
        chance, choice = self.random.random, self.random.choice
        letter = option.letter and chance() < 0.3
        name = f"-{option.letter}" if letter else f"{choice(('--', '-'))}{option.name}"
        if option.kind == FLAG:
            return [name] if chance() < 0.9 else [f"{name}={choice(('false', '1', 'x', ''))}"]
        value: str | bytes
        if chance() < 0.15:
            value = self._odd()
        elif option.kind in (NUMBER, INTEGER):
            value = str(choice((0, 1, 2, 100, -1, 50000, 1 << 31, 1 << 64)))
        else:
            value = choice(VALUES.get(option.name, ("x", "none", "/none")))
        if chance() < 0.7:
            return [name, value]
        joined = _bytes(f"{name}=") + (value if isinstance(value, bytes) else _bytes(value))
        return [joined] * (1 + (option.kind == LIST and chance() < 0.3))

    def _environment(self) -> tuple[tuple[bytes, bytes], ...]:
        found = {b"PATH": b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        for name, values in VARIABLES.items():
            if self.random.random() < 0.06:
                found[name] = self.random.choice(values)
        if self.random.random() < 0.02:
            found = {}
        return tuple(found.items())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").replace(b"\0", b"")
