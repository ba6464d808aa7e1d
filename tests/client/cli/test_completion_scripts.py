"""Tests of the text of the completion scripts for bash, zsh and fish. No shell runs."""

import argparse

from podium.cli import _completion
from podium.cli._completion import _Command


def _commands() -> list[_Command]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--role", "-r", choices=["a", "b"], help="it's a \\ role")
    parser.add_argument("--flag", action="store_true", help="a flag\nof two lines")
    parser.add_argument("shell", choices=["x", "y"])
    parser.add_argument("name")
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    options = _completion._options(parser._actions)
    return [_Command("c", "", "a text", options, ["do"]), _Command("c", "do", "does", options[:1])]


def test_the_script_of_fish() -> None:
    """The fish script completes values only for options that take one.

    Quotes in texts are escaped.
    """
    seen = "__fish_seen_subcommand_from"
    assert _completion._fish(_commands()).splitlines() == [
        "# Completes `podium` in fish: podium completion fish | source",
        f"complete -c podium -n 'not {seen} c' -fa c -d 'a text'",
        f"complete -c podium -n '{seen} c' -l role -s r -r -fa 'a b' -d 'it\\'s a \\\\ role'",
        f"complete -c podium -n '{seen} c' -l flag -d 'a flag'",
        f"complete -c podium -n '{seen} c' -fa 'x y'",
        "# a name",
        f"complete -c podium -n '{seen} c; and not {seen} do' -fa do -d 'does'",
        (
            f"complete -c podium -n '{seen} c; and {seen} do' -l role -s r -r -fa 'a b' "
            "-d 'it\\'s a \\\\ role'"
        ),
    ]


def test_the_scripts_of_bash_and_zsh() -> None:
    """Both scripts complete the words of each command and action, and the values of each option.

    The zsh script turns on zsh's support for bash completions. Its comment names zsh, not bash.
    """
    bash, zsh = _completion._bash(_commands()), _completion._zsh(_commands())
    for line in (
        '" c") command="$word" ;;',
        '"c do") action="$word" ;;',
        '"c  --role") words="a b" ;;',
        '"c  -r") words="a b" ;;',
        '"c do -r") words="a b" ;;',
        '" ") words="c --address --timeout --json --version --help" ;;',
        '"c ") words="do x y --role -r --flag" ;;',
        '"c do") words="--role -r" ;;',
    ):
        assert f"            {line}\n" in bash, line
        assert line in zsh
    assert "hidden" not in bash
    assert zsh.splitlines()[:2] == [
        "autoload -U +X compinit && compinit -u",
        "autoload -U +X bashcompinit && bashcompinit",
    ]
    assert '# Completes `podium` in zsh: eval "$(podium completion zsh)"\n' in zsh
    assert "bash:" not in zsh
