"""Scripts that complete commands in a shell, made from the parsers of the commands."""

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from podium.cli import _parsers
from podium.cli._connecting import command_module
from podium.cli._exits import CommandError

__all__ = ["SHELLS", "script"]

_BASH = r"""# Completes `podium` in bash: eval "$(podium completion bash)"
_podium() {
    local word command="" action="" words="" at
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        word="${COMP_WORDS[at]}"
        case "$command $word" in
            <COMMANDS>) command="$word" ;;
            <ACTIONS>) action="$word" ;;
        esac
    done
    case "$command $action $before" in
<VALUES>
    esac
    if [ -z "$words" ]; then
        case "$command $action" in
<WORDS>
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _podium podium
"""
_ZSH = "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n"


class _Command(NamedTuple):
    """A command, or an action of a command, with its options."""

    name: str
    action: str
    text: str
    options: Sequence[argparse.Action]
    actions: Sequence[str] = ()


def script(shell: str) -> str:
    """Returns the script for a shell of `SHELLS`."""
    commands = list(_commands())
    return _SCRIPTS[shell](commands)


def _commands() -> Iterator[_Command]:
    for name, text in _parsers.COMMANDS.items():
        try:
            parser = _parsers.command_parser(name, command_module(name))
        except CommandError:  # the server is not installed
            yield _Command(name, "", text, [])
            continue
        actions = parser._actions  # noqa: SLF001 - argparse has no public list of them
        found = [each for each in actions if isinstance(each, argparse._SubParsersAction)]  # noqa: SLF001
        parsers = found[0].choices if found else {}
        yield _Command(name, "", text, _options(actions), list(parsers))
        for action, inner in parsers.items():
            yield _Command(name, action, inner.description or "", _options(inner._actions))  # noqa: SLF001


def _options(actions: Sequence[argparse.Action]) -> list[argparse.Action]:
    return [
        each
        for each in actions
        if each.help != argparse.SUPPRESS and not isinstance(each, argparse._SubParsersAction)  # noqa: SLF001
    ]


def _bash(commands: Sequence[_Command]) -> str:
    names = [each.name for each in commands if not each.action]
    words = {f'"{each.name} {each.action}"': " ".join(_words(each)) for each in commands}
    values = {
        f'"{each.name} {each.action} {flag}"': " ".join(map(str, option.choices))
        for each in commands
        for option in each.options
        for flag in option.option_strings
        if option.choices
    }
    starts = " ".join([*names, "--address", "--timeout", "--json", "--version", "--help"])
    actions = [f'"{each.name} {each.action}"' for each in commands if each.action]
    parts = {
        "COMMANDS": " | ".join(f'" {name}"' for name in names),
        "ACTIONS": " | ".join(actions),
        "VALUES": _cases(values),
        "WORDS": _cases({'" "': starts, **words}),
    }
    text = _BASH
    for name, part in parts.items():
        text = text.replace(f"<{name}>", part)
    return text


def _cases(words: dict[str, str]) -> str:
    return "\n".join(f'            {case}) words="{text}" ;;' for case, text in words.items())


def _words(command: _Command) -> list[str]:
    flags = [flag for option in command.options for flag in option.option_strings]
    positional = [
        str(choice)
        for option in command.options
        for choice in option.choices or ()
        if not option.option_strings
    ]
    return [*command.actions, *positional, *flags]


def _zsh(commands: Sequence[_Command]) -> str:
    return _ZSH + _bash(commands).replace("in bash", "in zsh").replace("tion bash", "tion zsh")


def _fish(commands: Sequence[_Command]) -> str:
    names = " ".join(each.name for each in commands if not each.action)
    lines = ["# Completes `podium` in fish: podium completion fish | source"]
    for each in commands:
        seen = f"__fish_seen_subcommand_from {each.action or each.name}"
        if each.action:
            only = f"__fish_seen_subcommand_from {each.name}; and not {seen}"
            lines.append(_fish_line(only, f"-fa {each.action}", each.text))
            seen = f"__fish_seen_subcommand_from {each.name}; and {seen}"
        else:
            only = f"not __fish_seen_subcommand_from {names}"
            lines.append(_fish_line(only, f"-fa {each.name}", each.text))
        lines += [_fish_option(seen, option) for option in each.options]
    return "\n".join(lines) + "\n"


def _fish_option(seen: str, option: argparse.Action) -> str:
    words = " ".join(map(str, option.choices or ()))
    if not option.option_strings:
        return _fish_line(seen, f"-fa {_quoted(words)}", "") if words else "# a name"
    flags = " ".join(
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
        for flag in option.option_strings
    )
    value = "" if option.nargs == 0 else " -r"
    choices = f" -fa {_quoted(words)}" if words else ""
    return _fish_line(seen, f"{flags}{value}{choices}", option.help or "")


def _fish_line(condition: str, rest: str, text: str) -> str:
    about = f" -d {_quoted(text.splitlines()[0])}" if text else ""
    return f"complete -c podium -n {_quoted(condition)} {rest}{about}"


def _quoted(text: str) -> str:
    """Returns a string in single quotes, escaped for the shell fish."""
    return "'{}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
SHELLS = tuple(_SCRIPTS)
"""The shells for which there is a script."""
