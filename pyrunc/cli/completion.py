# SPDX-License-Identifier: Apache-2.0
"""pyrunc completion: a shell's completions, made from the option table.

Ids come from `pyrunc list` when they are needed, with the --root of the line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from pyrunc.cli.log import Log
from pyrunc.cli.parse import Line
from pyrunc.cli.table import COMMANDS, FLAG, GLOBAL, HELP, LIST, VALUE, Option
from pyrunc.errors import UsageError

# The options whose value is one of a few words; any other value is completed as a file name.
_CHOICES = {
    "format": ("table", "json"),
    "log-format": ("text", "json"),
    "log-level": ("error", "warning", "debug"),
    "cgroup-manager": ("cgroupfs", "systemd", "disabled"),
    "rootless": ("auto", "true", "false"),
    "manage-cgroups-mode": ("soft", "full", "strict", "ignore"),
    "empty-ns": ("network",),
}
_SHELLS = ("bash", "fish", "zsh")
_SIGNALS = ("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH")


def run(line: Line, log: Log) -> int:
    """Print the completions of a shell."""
    makers = {"bash": _bash, "fish": _fish, "zsh": _zsh}
    shell = line.arguments[0]
    if shell not in makers:
        raise UsageError(f'no completions for "{shell}"', hint="one of " + ", ".join(_SHELLS))
    sys.stdout.write(makers[shell]())
    return 0


def _options(command: str) -> tuple[Option, ...]:
    return (*COMMANDS[command].options, HELP) if command else GLOBAL


def _first(command: str) -> Sequence[str] | None:
    """The choices for the first argument; None for a container's id."""
    if command in ("help", "man"):
        return tuple(COMMANDS)
    if command == "completion":
        return _SHELLS
    return None if COMMANDS[command].arguments.startswith("<container-id>") else ()


def _names(options: Iterable[Option]) -> list[str]:
    found = []
    for option in options:
        found.append(f"--{option.name}")
        if option.letter:
            found.append(f"-{option.letter}")
    return found


def _bash() -> str:
    taking = [option for option in GLOBAL if option.kind != FLAG]
    rows = "".join(f"        {command}) {_bash_row(command)} ;;\n" for command in COMMANDS)
    return _BASH.format(
        options=" ".join(_names(GLOBAL)),
        commands=" ".join(COMMANDS),
        globals_taking="|".join(_names(taking)),
        values=_bash_values(""),
        rows=rows,
        signals=" ".join(_SIGNALS),
    )


def _bash_row(command: str) -> str:
    options = _options(command)
    first = _first(command)
    ids = "$(_pyrunc_ids)" if first is None else " ".join(first)
    taking = "|".join(_names(o for o in options if o.kind != FLAG)) or "''"
    return (
        f"options='{' '.join(_names(options))}'; taking='{taking}'\n"
        f'            first="{ids}"\n'
        f'            case "$previous" in\n{_bash_values(command)}'
        f"            esac"
    )


def _bash_values(command: str) -> str:
    """The cases of options whose value is being completed."""
    rows = []
    for option in _options(command):
        if option.kind == FLAG:
            continue
        names = "|".join(_names((option,)))
        choices = _CHOICES.get(option.name)
        if choices:
            action = f"""COMPREPLY=($(compgen -W '{" ".join(choices)}' -- "$current")); return"""
        elif option.kind in (VALUE, LIST):
            action = 'COMPREPLY=($(compgen -f -- "$current")); return'
        else:
            action = "return"
        rows.append(f"                {names}) {action} ;;\n")
    return "".join(rows)


_BASH = """# bash completion of pyrunc; made by `pyrunc completion bash`.
_pyrunc_ids() {{
    local root=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in
            --root) root=(--root "${{COMP_WORDS[i + 1]}}") ;;
        esac
    done
    "${{COMP_WORDS[0]}}" "${{root[@]}}" list -q 2>/dev/null
}}

_pyrunc() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD - 1]}}"
    local command= options= taking= first= i arguments=0 at=0
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in
            {globals_taking}) ((i++)) ;;
            -*) ;;
            *) command="${{COMP_WORDS[i]}}"; at=$i; break ;;
        esac
    done
    case "$command" in
        '')
            options='{options}'
            first='{commands}'
            case "$previous" in
{values}            esac ;;
{rows}        *) return ;;
    esac
    for ((i = at + 1; at && i < COMP_CWORD; i++)); do
        case "|$taking|" in
            *"|${{COMP_WORDS[i]}}|"*) ((i++)) ;;
            *) case "${{COMP_WORDS[i]}}" in -*) ;; *) ((arguments++)) ;; esac ;;
        esac
    done
    case "$current" in
        -*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;;
    esac
    if ((arguments == 0)); then
        COMPREPLY=($(compgen -W "$first" -- "$current"))
    elif [ "$command" = kill ]; then
        COMPREPLY=($(compgen -W '{signals}' -- "$current"))
    elif [ "$command" = exec ]; then
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -F _pyrunc pyrunc
"""


def _fish() -> str:
    rows = [
        "# fish completion of pyrunc; made by `pyrunc completion fish`.",
        "function __pyrunc_ids",
        "    set -l root",
        "    set -l words (commandline -opc)",
        "    set -l at (contains -i -- --root $words)",
        "    and set root --root $words[(math $at + 1)]",
        "    pyrunc $root list -q 2>/dev/null",
        "end",
        "complete -c pyrunc -f",
    ]
    rows += [_fish_option(option, "__fish_use_subcommand") for option in GLOBAL]
    for command, row in COMMANDS.items():
        rows.append(
            f"complete -c pyrunc -n __fish_use_subcommand -a {command} -d {_quoted(row.help)}"
        )
        seen = f"'__fish_seen_subcommand_from {command}'"
        rows += [_fish_option(option, seen) for option in _options(command)]
        first = _first(command)
        words = "(__pyrunc_ids)" if first is None else " ".join(first)
        if words:
            rows.append(f"complete -c pyrunc -n {seen} -a '{words}'")
    seen = "'__fish_seen_subcommand_from kill'"
    rows.append(f"complete -c pyrunc -n {seen} -a '{' '.join(_SIGNALS)}'")
    return "\n".join(rows) + "\n"


def _fish_option(option: Option, condition: str) -> str:
    text = f"complete -c pyrunc -n {condition} -l {option.name}"
    if option.letter:
        text += f" -s {option.letter}"
    if option.kind != FLAG:
        choices = _CHOICES.get(option.name)
        text += f" -x -a '{' '.join(choices)}'" if choices else " -r"
        text += " -F" if not choices and option.kind in (VALUE, LIST) else ""
    return f"{text} -d {_quoted(option.help)}"


def _zsh() -> str:
    rows = ["#compdef pyrunc", "# zsh completion of pyrunc; made by `pyrunc completion zsh`.", ""]
    rows += ["_pyrunc_ids() {", "    local -a ids"]
    rows += ["    ids=(${(f)\"$(pyrunc ${opt_args[--root]:+--root ${opt_args[--root]}} list -q "
             "2>/dev/null)\"})", "    compadd -a ids", "}", ""]  # fmt: skip
    rows += ["_pyrunc() {", "    local context state line", "    typeset -A opt_args"]
    rows += ["    local -a commands", "    commands=("]
    rows += [f"        {_quoted(f'{name}:{row.help}')}" for name, row in COMMANDS.items()]
    rows += ["    )", "    _arguments -C \\"]
    rows += [f"        {_zsh_option(option)} \\" for option in GLOBAL]
    rows += ["        '1:command:->command' '*::argument:->argument'", "    case $state in"]
    rows += ["        command) _describe command commands ;;", "        argument)"]
    rows += ["            case $words[1] in"]
    for command in COMMANDS:
        rows.append(f"                {command})")
        rows.append("                    _arguments \\")
        rows += [f"                        {_zsh_option(o)} \\" for o in _options(command)]
        rows.append(f"                        {_zsh_arguments(command)} ;;")
    rows += ["            esac ;;", "    esac", "}", "", '_pyrunc "$@"']
    return "\n".join(rows) + "\n"


def _zsh_option(option: Option) -> str:
    names = _names((option,))
    text = f"[{_bracketed(option.help)}]"
    if option.kind != FLAG:
        choices = _CHOICES.get(option.name)
        files = "_files" if option.kind in (VALUE, LIST) else " "
        text += f":value:({' '.join(choices)})" if choices else f":value:{files}"
    star = "*" if option.kind == LIST else ""
    # Each name by itself; together they exclude each other unless they may be repeated.
    both = f"'({' '.join(names)})'" if len(names) > 1 and not star else ""
    if len(names) > 1:
        return (
            f"{both}{{{','.join((star and _quoted(star + n)) or n for n in names)}}}{_quoted(text)}"
        )
    return _quoted(star + names[0] + text)


def _zsh_arguments(command: str) -> str:
    first = _first(command)
    words = "_pyrunc_ids" if first is None else f"({' '.join(first)})" if first else " "
    text = f"'1:argument:{words}'"
    if command == "kill":
        text += f" '2:signal:({' '.join(_SIGNALS)})'"
    return text + (" '*:file:_files'" if command in ("exec", "ps") else "")


def _bracketed(text: str) -> str:
    """Escape what is special in zsh's [explanation]."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
