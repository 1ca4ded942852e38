# SPDX-License-Identifier: Apache-2.0
"""Every command and option, once: the parser, the help and the checks come from this table."""

from __future__ import annotations

FLAG, VALUE, NUMBER = "flag", "value", "number"


class Option:
    """One option: its long name, an optional letter, what it takes, what it does."""

    __slots__ = ("help", "kind", "letter", "name")

    def __init__(self, name: str, kind: str, text: str, letter: str = "") -> None:
        self.name = name
        self.kind = kind
        self.help = text
        self.letter = letter


class Command:
    """One command: how many arguments it takes, and which options."""

    __slots__ = ("arguments", "help", "least", "most", "options", "stops")

    def __init__(
        self,
        arguments: str,
        least: int,
        most: int,
        text: str,
        options: tuple[Option, ...] = (),
        stops: bool = False,
    ) -> None:
        self.arguments = arguments
        self.least = least
        self.most = most
        self.help = text
        self.options = options
        self.stops = stops  # option parsing ends at the first argument


HELP = Option("help", FLAG, "show help", "h")
GLOBAL = (
    Option("debug", FLAG, "log more"),
    Option("log", VALUE, "append log records to this file instead of stderr"),
    Option("log-format", VALUE, "text or json"),
    Option("root", VALUE, "directory of the containers' state"),
    Option("systemd-cgroup", FLAG, "let systemd make the cgroup (slice:prefix:name)"),
    Option("rootless", VALUE, "tolerate missing cgroup permissions: true, false or auto"),
    Option("criu", VALUE, "accepted and ignored"),
    HELP,
    Option("version", FLAG, "print the version", "v"),
)
_CREATE = (
    Option("bundle", VALUE, "the bundle's directory (default: the current one)", "b"),
    Option("console-socket", VALUE, "AF_UNIX socket that gets the terminal's master"),
    Option("pidfd-socket", VALUE, "AF_UNIX socket that gets a pidfd of the process"),
    Option("pid-file", VALUE, "write the process's pid to this file"),
    Option("no-pivot", FLAG, "chroot instead of pivot_root, for hosts that run from an initramfs"),
    Option("no-new-keyring", FLAG, "keep the caller's session keyring"),
    Option("preserve-fds", NUMBER, "keep this many descriptors from 3 on"),
    Option("no-subreaper", FLAG, "do not adopt orphaned processes"),
    Option("detach", FLAG, "return when the program runs", "d"),
)
COMMANDS = {
    "create": Command("<container-id>", 1, 1, "create a container", _CREATE),
    "delete": Command(
        "<container-id>",
        1,
        1,
        "delete a container",
        (Option("force", FLAG, "kill it first if it runs", "f"),),
    ),
    "features": Command("", 0, 0, "print what this runtime can do, as JSON"),
    "help": Command("[command]", 0, 1, "show help"),
    "kill": Command(
        "<container-id> [signal]",
        1,
        2,
        "send a signal (default SIGTERM) to the container's init",
        (Option("all", FLAG, "send it to all processes", "a"),),
        stops=True,
    ),
    "list": Command(
        "",
        0,
        0,
        "list containers",
        (
            Option("format", VALUE, "table or json", "f"),
            Option("quiet", FLAG, "ids only", "q"),
        ),
    ),
    "run": Command(
        "<container-id>",
        1,
        1,
        "create and start a container, wait, and delete it",
        (*_CREATE, Option("keep", FLAG, "do not delete it when it has stopped")),
    ),
    "spec": Command(
        "",
        0,
        0,
        "write a config.json to start from",
        (
            Option("bundle", VALUE, "where to write it", "b"),
            Option("rootless", FLAG, "for an ordinary user"),
        ),
    ),
    "start": Command("<container-id>", 1, 1, "run the program of a created container"),
    "state": Command("<container-id>", 1, 1, "print a container's state, as JSON"),
}
