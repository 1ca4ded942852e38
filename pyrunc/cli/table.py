# SPDX-License-Identifier: Apache-2.0
"""Every command and option, once: the parser, the help and the checks come from this table."""

from __future__ import annotations

# An option's value: none, a text, digits, an integer, a text each time it is given.
FLAG, VALUE, NUMBER, INTEGER, LIST = "flag", "value", "number", "integer", "list"

# No limit on the number of arguments.
ANY = 1 << 31


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
    Option("cgroup-manager", VALUE, "cgroupfs, systemd or disabled"),
    Option("log-level", VALUE, "error, warning or debug"),
    Option("criu", VALUE, "accepted and ignored"),
    HELP,
    Option("version", FLAG, "print the version", "v"),
)
_ID = "<container-id>"
_BUNDLE = Option("bundle", VALUE, "the bundle's directory (default: the current one)", "b")
_CONFIG = Option("config", VALUE, "read this file instead of the bundle's config.json", "f")
_CONSOLE = Option("console-socket", VALUE, "AF_UNIX socket that gets the terminal's master")
_PIDFD = Option("pidfd-socket", VALUE, "AF_UNIX socket that gets a pidfd of the process")
_PID_FILE = Option("pid-file", VALUE, "write the process's pid to this file")
_NO_PIVOT = Option("no-pivot", FLAG, "chroot instead of pivot_root, for hosts on an initramfs")
_NO_KEYRING = Option("no-new-keyring", FLAG, "keep the caller's session keyring")
_PRESERVE = Option("preserve-fds", NUMBER, "keep this many descriptors from 3 on")
_NO_SUBREAPER = Option("no-subreaper", FLAG, "do not adopt orphaned processes")
_DETACH = Option("detach", FLAG, "return when the program runs", "d")
_REGEX = Option("regex", FLAG, "all containers whose id matches the regular expression", "r")
_CREATE = (
    _BUNDLE, _CONFIG,
    _CONSOLE, _PIDFD, _PID_FILE, _NO_PIVOT, _NO_KEYRING, _PRESERVE, _NO_SUBREAPER, _DETACH,
)  # fmt: skip
_IMAGE = Option("image-path", VALUE, "directory of the image (default: checkpoint)")
_WORK = Option("work-path", VALUE, "directory of CRIU's logs and statistics")
_PARENT = Option("parent-path", VALUE, "an earlier image, relative to this one")
_CRIU = (
    Option("tcp-established", FLAG, "also established TCP connections"),
    Option("ext-unix-sk", FLAG, "also UNIX sockets whose other end is outside"),
    Option("shell-job", FLAG, "also a terminal or session from outside"),
    Option("file-locks", FLAG, "also file locks"),
    Option("manage-cgroups-mode", VALUE, "soft, full, strict or ignore"),
    Option("empty-ns", LIST, "a namespace without its content: network"),
    Option("auto-dedup", FLAG, "do not store a memory page twice"),
)
COMMANDS = {
    "checkpoint": Command(
        _ID,
        1,
        1,
        "store a running container as an image, with CRIU",
        (
            _IMAGE,
            _WORK,
            _PARENT,
            *_CRIU,
            Option("leave-running", FLAG, "do not end the container"),
            Option("tcp-skip-in-flight", FLAG, "leave out TCP connections that are being made"),
            Option("link-remap", FLAG, "also files that are open but deleted"),
            Option("lazy-pages", FLAG, "serve memory pages on demand"),
            Option("status-fd", INTEGER, "descriptor that gets a byte when lazy pages are ready"),
            Option("page-server", VALUE, "ADDRESS:PORT that memory pages are sent to"),
            Option("pre-dump", FLAG, "store the memory only, for a later checkpoint"),
        ),
    ),
    "completion": Command("<shell>", 1, 1, "print completions for bash, fish or zsh"),
    "create": Command(_ID, 1, 1, "create a container", _CREATE),
    "delete": Command(
        _ID,
        1,
        1,
        "delete a container",
        (Option("force", FLAG, "kill it first if it runs", "f"), _REGEX),
    ),
    "events": Command(
        _ID,
        1,
        1,
        "print statistics and out-of-memory kills, a JSON object a line",
        (
            Option("interval", VALUE, "time between statistics (default: 5s)"),
            Option("stats", FLAG, "print statistics once"),
        ),
    ),
    "exec": Command(
        f"{_ID} [command [argument...]]",
        1,
        ANY,
        "run another process in a container",
        (
            Option("process", VALUE, "file with the process object, as in config.json", "p"),
            Option("cwd", VALUE, "its working directory"),
            Option("env", LIST, "NAME=value to add to its environment", "e"),
            Option("tty", FLAG, "give it a terminal", "t"),
            Option("user", VALUE, "UID[:GID]", "u"),
            Option("additional-gids", LIST, "a further group id", "g"),
            Option("cap", LIST, "a further capability", "c"),
            Option("no-new-privs", FLAG, "no new privileges by execve"),
            Option("process-label", VALUE, "its SELinux label"),
            Option("apparmor", VALUE, "its AppArmor profile"),
            Option("cgroup", LIST, "[CONTROLLER[,...]:]PATH below the container's cgroup"),
            Option("ignore-paused", FLAG, "also in a paused container; runs after resume"),
            _DETACH,
            _CONSOLE,
            _PIDFD,
            _PID_FILE,
            _PRESERVE,
        ),
        stops=True,
    ),
    "features": Command("", 0, 0, "print what this runtime can do, as JSON"),
    "help": Command("[command]", 0, 1, "show help"),
    "inspect": Command(
        _ID,
        1,
        1,
        "print what is in force: namespaces, mounts, rights, limits and use",
        (Option("json", FLAG, "as JSON"),),
    ),
    "kill": Command(
        f"{_ID} [signal]",
        1,
        2,
        "send a signal (default SIGTERM) to the container's init",
        (Option("all", FLAG, "send it to all processes", "a"), _REGEX),
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
    "man": Command("[command]", 0, 1, "print a manual page, for man(1)"),
    "metrics": Command("", 0, 0, "print what all containers have used, as OpenMetrics text"),
    "pause": Command(_ID, 1, 1, "freeze all processes of a container"),
    "plan": Command(
        "",
        0,
        0,
        "print what create would do, step by step, and touch nothing",
        (
            _BUNDLE,
            _CONFIG,
            Option("json", FLAG, "as JSON"),
            _NO_PIVOT,
            _NO_KEYRING,
        ),
    ),
    "ps": Command(
        f"{_ID} [ps option...]",
        1,
        ANY,
        "show the processes of a container",
        (Option("format", VALUE, "table or json", "f"),),
        stops=True,
    ),
    "restore": Command(
        _ID,
        1,
        1,
        "make a container from an image that checkpoint has stored",
        (
            _BUNDLE,
            _IMAGE,
            _WORK,
            _PARENT,
            *_CRIU,
            _CONSOLE,
            _PID_FILE,
            _DETACH,
            _NO_SUBREAPER,
            _NO_PIVOT,
            _NO_KEYRING,
            _PRESERVE,
            Option("lazy-pages", FLAG, "get memory pages on demand"),
            Option("tcp-close", FLAG, "restore TCP connections as closed ones"),
            Option("lsm-profile", VALUE, "TYPE:NAME, instead of the stored profile"),
            Option("lsm-mount-context", VALUE, "SELinux context of mounts, instead of the stored"),
        ),
    ),
    "resume": Command(_ID, 1, 1, "let a paused container continue"),
    "run": Command(
        _ID,
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
            Option("rootless", FLAG, "for an unprivileged user"),
        ),
    ),
    "start": Command(_ID, 1, 1, "run the program of a created container"),
    "state": Command(_ID, 1, 1, "print a container's state, as JSON"),
    "update": Command(
        _ID,
        1,
        1,
        "change the limits of a container",
        (
            Option(
                "resources", VALUE, "file with the resources object of config.json, - stdin", "r"
            ),
            Option("blkio-weight", NUMBER, "share of disk time, 10 to 1000"),
            Option("cpu-period", NUMBER, "microseconds that cpu-quota is for"),
            Option("cpu-quota", INTEGER, "microseconds of CPU time a period, -1 for no limit"),
            Option("cpu-burst", NUMBER, "microseconds that may be saved for later"),
            Option("cpu-share", NUMBER, "weight against others, 2 to 262144"),
            Option("cpu-rt-period", NUMBER, "microseconds that cpu-rt-runtime is for"),
            Option("cpu-rt-runtime", INTEGER, "microseconds of real-time a period"),
            Option("cpu-idle", INTEGER, "1: only when nothing else wants the CPU"),
            Option("cpuset-cpus", VALUE, "processors, like 0-2,7"),
            Option("cpuset-mems", VALUE, "memory nodes, like 0-2,7"),
            Option("memory", VALUE, "bytes (or 512m, 1g), -1 for no limit"),
            Option("memory-reservation", VALUE, "bytes that stay when memory is short"),
            Option("memory-swap", VALUE, "bytes of memory and swap, -1 for no limit"),
            Option("pids-limit", INTEGER, "number of tasks, -1 for no limit"),
            Option("l3-cache-schema", VALUE, "Intel RDT: parts of the L3 cache"),
            Option("mem-bw-schema", VALUE, "Intel RDT: memory bandwidth"),
            Option("kernel-memory", VALUE, "accepted and ignored"),
            Option("kernel-memory-tcp", VALUE, "accepted and ignored"),
        ),
    ),
    "validate": Command(
        "",
        0,
        0,
        "print everything that is wrong or odd in a config.json; exit code 1 if it is wrong",
        (
            _BUNDLE,
            _CONFIG,
            Option("strict", FLAG, "exit code 1 also if something is odd"),
            Option("json", FLAG, "as a JSON array of level, pointer, message, hint"),
        ),
    ),
    "wait": Command(
        _ID,
        1,
        1,
        "wait until a container's program has ended, and print its exit code",
        (Option("json", FLAG, "also the signal and the reason, as JSON"),),
    ),
}
