# SPDX-License-Identifier: Apache-2.0
"""Where pyrunc differs from the runc of this host (1.1.5, or 1.1.15 in the guest), and why.

A reason rewrites one side's facts; with all of a row's reasons both sides have to be the same, and
a reason that changes nothing in a row that it names fails.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from tests.lib import support


@dataclass(frozen=True)
class Reason:
    """One deliberate difference.

    Attributes:
        words: why it is right that pyrunc differs.
        rows: names of rows, or patterns as in a shell.
        find: a pattern over the facts.
        put: what is there instead.
        side: whose facts are rewritten. "whole" says that nothing of the row is compared.
        v2: only on hosts with cgroup v2 (True) or v1 (False), or on both (None).
    """

    words: str
    rows: tuple[str, ...]
    find: str = ""
    put: str = ""
    side: str = "runc"
    v2: bool | None = None

    def is_for(self, name: str) -> bool:
        here = self.v2 is None or self.v2 == support.V2
        return here and self.is_for_any_host(name)

    def is_for_any_host(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.rows)


OWN_WORDS = "pyrunc says where in config.json (or in the call) the fault is"
HINT = "pyrunc adds what can be done about it; the text that callers match stands before that"
REASONS = (
    Reason(
        OWN_WORDS,
        ("create_no_args", "create_relative_cwd", "create_empty_cwd", "create_without_process"),
        r"config\.json: /process\S*: ",
        side="pyrunc",
    ),
    Reason(OWN_WORDS, ("exec_failures",), r" \[/process/cwd\]", side="pyrunc"),
    Reason(
        HINT,
        (
            "id_bad",
            "update_no_number",
            "create_terminal",
            "delete_running",
            "delete_paused",
            "create_without_config",
        ),
        r" \((letters|a number|give|kill it|in BUNDLE)\b[^)]*\)",
        side="pyrunc",
    ),
    Reason(HINT, ("systemd_path",), r" \(without [^)]*\)", side="pyrunc", v2=False),
    Reason(
        "as the newer Go: a directory is named one (1.5)",
        ("create_directory", "exec_failures"),
        r'(exec: \\*"/bin\\*": )permission denied',
        r"\1is a directory",
        v2=False,
    ),
    Reason(
        "as runc 1.5: state has the bundle's version, runc 1.1 its own",
        ("state_[crps]*", "single_dash", "list_forms", "empty_environment"),
        r'("ociVersion": ?)"1\.[\d.]+(-dev|\+dev)?"',
        r'\1"1.3.0"',
    ),
    Reason(
        "argv[0] is named without its directory",
        ("counts",),
        r"/\S+/NAME:",
        "NAME:",
    ),
    Reason(
        "as runc 1.5: the same words for an unknown flag before and after the command",
        ("unknown_flag",),
        r"Incorrect Usage\. flag",
        "Incorrect Usage: flag",
    ),
    Reason("no line break within a message", ("unknown_command",), r"\\n\"", '"'),
    Reason(
        "the number is looked at before the container: a wrong line is wrong in every state",
        ("bad_number",),
        r'stderr: time="TIME" level=error msg="container does not exist"',
        'stdout: Incorrect Usage: invalid value "x" for flag -cpu-period: parse error\n'
        'stderr: time="TIME" level=error '
        r'msg="invalid value \\"x\\" for flag -cpu-period: parse error"',
    ),
    Reason(
        "as runc 1.5: an explicit root that is missing is an error",
        ("list_without_root",),
        r"exit: 0\nstdout: ID .*",
        "exit: 1\nstderr: open DIR/state: no such file or directory\n"
        'log: {"level": "error", "msg": "open DIR/state: no such file or directory"}',
    ),
    Reason(
        "an update is all or nothing (decision 33), so nothing has to be warned of",
        ("update_impossible",),
        r'log: {"level": "warning".*\n',
        "",
    ),
    Reason(
        "the failing write in the order of all of pyrunc's errors: what, where, call, errno",
        ("update_impossible",),
        r'failed to write (\\*)"([\d ]+)\\*": write (\S+): invalid argument',
        r"write \2 to \3: write: invalid argument [/cpu/quota]",
    ),
    Reason(
        "an update is all or nothing (decision 33); runc 1.1 keeps what it wrote before",
        ("update_rolled_back",),
        "limit: 66",
        "limit: 55",
        v2=True,
    ),
    Reason(
        "as runc 1.5: pressure stall information",
        ("events_stats",),
        r"key: \.data\.\w+\.psi.*\n",
        side="pyrunc",
        v2=True,
    ),
    Reason(
        "huge pages by size also where nothing limits them; the guest's runc leaves them out",
        ("events_stats",),
        r"\nkey: \.data\.hugetlb\..*",
        side="pyrunc",
        v2=True,
    ),
    Reason(
        "pyrunc looks for the image's directory first, runc for its own file in it",
        ("restore_without_image", "restore_no_subreaper"),
        r"/descriptors\.json",
        "",
    ),
    Reason(
        "chdir(2) itself says it; runc 1.1 fails to make the directory before",
        ("create_bad_cwd",),
        r"error during container init: mkdir /bin/busybox: not a directory",
        r'chdir to cwd ("/bin/busybox") set in config.json failed: not a directory '
        r"[/process/cwd]",
    ),
    Reason(
        "the same, quoted in the record",
        ("create_bad_cwd",),
        r'(log: .*cwd \()"/bin/busybox"',
        r'\1\\"/bin/busybox\\"',
    ),
    Reason(
        "as runc 1.5: a hook is named by its kind; pyrunc adds its place in config.json",
        ("create_failing_hook",),
        r"error (during container init: error )?running hook #0: "
        r"error running hook: exit status 1, stdout: , stderr: ",
        "error running createRuntime hook #0: exit status 1 [/hooks/createRuntime/0]",
    ),
    Reason(
        "as runc 1.5: exec args cannot be empty",
        ("exec_failures",),
        "process args cannot",
        "exec args cannot",
    ),
    Reason(
        "a uid is no Go integer: what is wrong with it is said",
        ("exec_failures",),
        r'parsing name as int for uid failed: strconv.Atoi: parsing (\\*)"name\\*": invalid syntax',
        r'parsing \1"name\1" as a uid failed: not a number below 4294967295',
    ),
    Reason(
        "JSON's fault is named with its place",
        ("update_stdin",),
        "unexpected EOF",
        "standard input: not valid JSON: expecting property name enclosed in double quotes"
        " at line 1, column 2",
    ),
    Reason(
        "what a script is run by is looked for before create says that all is ready: the reason"
        " reaches its caller and --log, not the program's stderr only",
        ("bad_interpreter",),
        side="whole",
    ),
    Reason("pyrunc tells its own features, with the members of 1.5", ("features",), side="whole"),
    Reason("runc prints the versions of Go and libseccomp", ("version",), side="whole"),
    Reason(
        "as runc 1.5: no ambient capabilities in the template (runc 1.1 has them)",
        ("spec",),
        r'"ambient": \[[^]]*\], ',
        "",
    ),
)


def of(name: str) -> list[Reason]:
    return [reason for reason in REASONS if reason.is_for(name)]


def rewritten(name: str, runc: list[str], pyrunc: list[str]) -> tuple[list[str], list[str]]:
    """Both sides with the row's reasons in them; each one has to change something."""
    sides = {"runc": "\n".join(runc), "pyrunc": "\n".join(pyrunc)}
    for reason in of(name):
        if reason.side == "whole":
            assert runc != pyrunc, f"listed, but equal: {reason.words}"
            return [], []
        text = sides[reason.side]
        sides[reason.side] = re.sub(reason.find, reason.put, text, flags=re.MULTILINE)
        assert sides[reason.side] != text, f"listed, but not there: {reason.words}"
    return sides["runc"].splitlines(), sides["pyrunc"].splitlines()
