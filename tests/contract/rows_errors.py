# SPDX-License-Identifier: Apache-2.0
"""Rows of sections 0, 1 and 6: words and codes, with one JSON record and without a log file."""

from __future__ import annotations

from tests.contract.harness import Case, Rows

ROWS = Rows()
line, row = ROWS.line, ROWS.row

DNE = ("state", "start", "pause", "resume", "delete", "ps", "events --stats", "exec", "kill",
       "update --pids-limit 7", "checkpoint --image-path DIR/image")  # fmt: skip
for _words in DNE:
    _tail = " true" if _words == "exec" else ""
    line(f"{_words.split()[0]}_of_nothing", "1.5", "container does not exist", "none",
         f"{_words} ID{_tail}")  # fmt: skip
line("nothing_without_a_log_file", "2.5", "without --log: the formatted record only", "none",
     "state ID", "--log-format json state ID", caller="plain")  # fmt: skip
line("delete_force_of_nothing", "6", "exit 0, silent", "none", "delete --force ID",
     "delete ID --force")  # fmt: skip
line("create_twice", "1.5", "container with given ID already exists", "created",
     "create -b BUNDLE ID", "run -b BUNDLE ID")  # fmt: skip
line("start_twice", "1.5", "cannot start an already running container", "running", "start ID")
line("start_stopped", "1.5", "cannot start a container that has stopped", "stopped", "start ID")
line("start_paused", "1.5", "cannot start a container in the paused state", "paused", "start ID")
line("kill_stopped", "1.5, 1.6", "container not running", "stopped", "kill ID", "kill ID 0",
     "kill ID KILL")  # fmt: skip
line("kill_all_stopped", "3.1, 6", "kill --all ID 9 on a stopped container", "stopped",
     "kill --all ID 9", "kill -a ID 9")  # fmt: skip
line("kill_forms", "1.4", "an integer or any name", "running", "kill ID 0", "kill ID chld",
     "kill ID SIGCHLD", "kill ID sigchld", "kill ID 17", "kill ID CHLD")  # fmt: skip
line("kill_unknown", "1.4", 'unknown signal "X"', "running", "kill ID nosuch")
line("kill_out_of_range", "1.5", "unable to signal init: <errno>", "running", "kill ID 9999")
line("pause_stopped", "1.5", "container not running", "stopped", "pause ID")
line("pause_twice", "6", "container not running", "paused", "pause ID")
line("pause_and_resume", "6", "nothing on stdout or stderr", "running", "pause ID", "resume ID")
line("resume_running", "1.5", "container not paused", "running", "resume ID")
line("resume_stopped", "6", "container not paused", "stopped", "resume ID")
line("exec_stopped", "1.5", "cannot exec in a stopped container", "stopped", "exec ID true")
line("exec_paused", "1.5", "cannot exec in a paused container", "paused", "exec ID true")
line("update_stopped", "1.5", "container not running", "stopped", "update --pids-limit 7 ID")
line("update_impossible", "must show", "updating to an impossible limit", "running",
     "update --cpu-quota 1 ID")  # fmt: skip
line("update_no_number", "1.4", "sizes accept 512m, 1g or -1", "running", "update --memory x ID")
line("update_quietly", "1.4", "exit 0, silent", "running", "update --pids-limit 77 ID")
line("events_stopped", "1.5", "container with id X is not running", "stopped", "events --stats ID")
line("events_interval", "1.4", "duration interval must be greater than 0", "running",
     "events --interval=0s ID")  # fmt: skip
line("delete_running", "1.5", "cannot delete container X that is not stopped: running", "running",
     "delete ID")  # fmt: skip
line("delete_paused", "6", "same: paused", "paused", "delete ID")
line("delete_created", "6", "SIGKILLs init, ok", "created", "delete ID", "state ID")
line("delete_stopped", "6", "ok", "stopped", "delete ID", "delete ID")
line("delete_force_each", "6", "ok", "running", "delete --force ID", "delete --force ID")
line("delete_force_paused", "6", "ok", "paused", "delete --force ID", "delete --force ID")
line("checkpoint_created", "1.4", "cannot be checkpointed in created state", "created",
     "checkpoint --image-path DIR/image ID")  # fmt: skip
line("checkpoint_stopped", "6", "err", "stopped", "checkpoint --image-path DIR/image ID")
line("checkpoint_parent_path", "1.4", "--parent-path must be relative", "running",
     "checkpoint --image-path DIR/image --parent-path /x ID")  # fmt: skip
line("restore_without_image", "must show", "restoring without an image directory", "none",
     "restore -b BUNDLE --image-path DIR/nosuch ID", "state ID")  # fmt: skip
line("restore_no_subreaper", "0.11", "-no-subreaper, sent by go-runc", "none",
     "restore --image-path DIR/nosuch --detach -no-subreaper --bundle BUNDLE ID")  # fmt: skip
line("restore_probe", "1.6", "flag needs an argument", "none", "restore --lsm-mount-context",
     form="first", caller="podman")  # fmt: skip
line("checkpoint_probe", "1.6", "exit 0 of checkpoint --help", "none", "checkpoint --help",
     form="none", caller="podman")  # fmt: skip
line("bundle_missing", "1.4", "chdir DIR: no such file or directory", "none",
     "create -b DIR/nosuch ID")  # fmt: skip
line("id_bad", "5", "invalid container ID format", "none", "create -b BUNDLE a/b",
     "create -b BUNDLE ..", "state a/b")  # fmt: skip
line("counts", "1.2", "Incorrect Usage, requires exactly N argument(s)", "none", "state",
     "state a b", "kill", "kill a b c", "delete", "pause", "exec", "ps", "list x", "features x",
     form="first")  # fmt: skip
line("unknown_flag", "1.2", "flag provided but not defined: -NAME", "none", "state --nosuch ID",
     "--nosuch", "create --nosuch ID", form="first", caller="plain")  # fmt: skip
line("missing_value", "1.2", "flag needs an argument: -NAME", "none", "create --pid-file",
     form="first", caller="plain")  # fmt: skip
line("bad_number", "1.2", "a number that is none", "none", "update --cpu-period x ID",
     "create --preserve-fds x ID", form="first", caller="plain")  # fmt: skip
line("unknown_command", "1.2, 1.3", "No help topic for 'X', exit 3", "none", "nosuch", form="none",
     caller="plain")  # fmt: skip
line("log_format", "1.1", "invalid log-format: X", "none", "--log-format xml list", form="none",
     caller="plain")  # fmt: skip
line("log_that_cannot_be", "1.1", "--log is opened", "none", "--log DIR/no/such list", form="none",
     caller="plain")  # fmt: skip
line("list_format", "1.4", "invalid format option", "running", "list --format x",
     "ps --format x ID", caller="plain")  # fmt: skip
line("list_without_root", "2.1", "missing explicit --root: an error", "none", "list")
line("rootless_values", "1.1", "auto or Go bool", "created", "--rootless=true state ID",
     "--rootless auto state ID", "--rootless F state ID", form="none", caller="plain")  # fmt: skip
line("rootless_bad", "1.1", "auto or Go bool", "created", "--rootless=maybe state ID",
     form="none", caller="plain")  # fmt: skip
line("single_dash", "0.11", "single-dash long options", "created", "-root=DIR/state state ID",
     "-root DIR/state list -q", "state -- ID", "-debug=false state ID", caller="plain")  # fmt: skip
line("systemd_path", "1.1", "expected cgroupsPath to be of format", "none",
     "--systemd-cgroup create -b BUNDLE ID", caller="shim")  # fmt: skip
line("ps_args", "1.4", "couldn't find PID field in ps output", "running", "ps ID -o comm",
     "ps ID -o pid,comm", form="none")  # fmt: skip
line("ps_failing", "1.4", "<err>: <ps output>", "running", "ps ID --nosuch", form="none")
line("ps_stopped", "1.4", "header only, exit 0", "stopped", "ps ID", "ps --format json ID")


@row("6", "a container without a state file")
def half_made(case: Case) -> None:
    (case.runtime.root / case.name).mkdir(parents=True)
    for words in (("state",), ("start",), ("kill",), ("delete",), ("delete", "--force")):
        case.saw(case.shim(*words, case.name))
    case.fact("left", (case.runtime.root / case.name).exists())


def failing(name: str, section: str, words: str, **members: object) -> None:
    """A create that fails because of config.json, and leaves nothing: the id can be had again."""

    def play(case: Case) -> None:
        process = case.bundle.config["process"]
        for key, value in members.items():
            if value is None:
                process.pop(key, None)
            else:
                process[key] = value
        case.bundle.write()
        case.saw(case.shim.create(case.bundle.path, case.name))
        case.saw(case.shim("state", case.name))
        case.fact("pid file", (case.bundle.path / "init.pid").exists())

    ROWS.add(name, section, words, play)


failing("create_missing_command", "1.5", "executable file not found in $PATH", args=["nosuch"])
failing("create_missing_path", "1.5", "stat X: no such file or directory", args=["/nosuch"])
failing("create_directory", "1.5", "permission denied / is a directory", args=["/bin"])
failing("create_empty_command", "1.5", "executable file not found in $PATH", args=[""])
failing("create_no_args", "1.4", "args must not be empty", args=[])
failing("create_bad_cwd", "1.5", "chdir to cwd", cwd="/bin/busybox")
failing("create_relative_cwd", "1.4", "Cwd must be an absolute path", cwd="x")
failing("create_empty_cwd", "1.4", "Cwd property must not be empty", cwd="")
failing("create_terminal", "1.4", "cannot allocate tty if runc will detach", terminal=True)


@row("1.4", "JSON specification file config.json not found")
def create_without_config(case: Case) -> None:
    (case.bundle.path / "config.json").unlink()
    case.saw(case.shim.create(case.bundle.path, case.name))


@row("1.4", "process property must not be empty")
def create_without_process(case: Case) -> None:
    del case.bundle.config["process"]
    case.bundle.write()
    case.saw(case.shim.create(case.bundle.path, case.name))


@row("1.4", "console socket without a terminal")
def create_console_unasked(case: Case) -> None:
    case.saw(case.shim.create(case.bundle.path, case.name, "--console-socket", "/x"))


@row("1.5, 3.8", "error running createRuntime hook #0")
def create_failing_hook(case: Case) -> None:
    case.bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    case.bundle.write()
    case.saw(case.shim.create(case.bundle.path, case.name))
    case.saw(case.shim("state", case.name))


@row("must show", "exec of a missing command, a directory, an unmapped user")
def exec_failures(case: Case) -> None:
    case.put("running")
    pid_file = case.directory / "exec.pid"
    process = {"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}
    for args in (["nosuch"], ["/nosuch"], ["/bin"], [""]):
        case.saw(case.shim.exec(case.name, {**process, "args": args}, pid_file))
        case.fact("pid file", pid_file.exists())
    case.saw(case.shim.exec(case.name, {**process, "args": ["true"], "cwd": "/nosuch/x"}, pid_file))
    case.saw(case.shim("exec", case.name))
    case.saw(case.shim("exec", "--user", "name", case.name, "true"))
