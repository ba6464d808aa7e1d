"""Parses the command line."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import podium
from podium._client.channel import deadline
from podium._values.suggest import did_you_mean, near_names
from podium.cli._exits import CommandError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

__all__ = ["COMMANDS", "SERVER_COMMANDS", "command_parser", "parse", "parse_command"]

COMMANDS = {
    "experiments": "list experiments",
    "arms": "list the arms of an experiment",
    "evals": "list the eval rows of an arm",
    "series": "list the training metrics of an arm by step",
    "show": "show an experiment or an arm",
    "eval": "look up an eval row of an arm",
    "score": "look up a score of an arm",
    "metrics": "list the metrics of an experiment",
    "scores": "show the scores of arms on several metrics",
    "rank": "rank the arms of an experiment, or groups of arms, by a score",
    "compare": "compare two arms or groups",
    "curve": "draw a metric by step",
    "report": "write one file with the ranking, tests and curves of an experiment",
    "watch": "show every change of an experiment as it happens",
    "page": "open the page with leaderboards and curves in a browser",
    "completion": "print a script that completes commands in a shell",
    "server": "show the version and the limits of the server",
    "whoami": "show the token in use, and what it allows",
    "health": "check whether a server accepts calls, for probes of containers",
    "doctor": "check address, token, clocks, outbox and store, and say what to do",
    "declare": "create an experiment, or set its unset fields",
    "record": "record arms and events from JSON",
    "export": "write an experiment, or all of them, as JSON lines or CSV",
    "import": "import results that other tools wrote",
    "annotate": "change notes, tags or group of an arm",
    "finish": "record how the training of an arm ended",
    "conclude": "store the conclusion of an experiment",
    "delete": "delete an experiment or an arm",
    "sync": "deliver recorded events that the server does not have",
    "outbox": "show events that are not delivered, or were rejected",
    "serve": "start a server",
    "backup": "copy the store, even while a server uses it",
    "check": "check that a store or a backup is intact",
    "migrate": "move all results to another store",
    "token": "create, list and revoke tokens",
}
"""All commands, with their descriptions."""

SERVER_COMMANDS = {
    "serve": "podium_server.serve.command",
    "backup": "podium_server.serve.backup",
    "check": "podium_server.serve.check",
    "migrate": "podium_server.serve.migrate",
}
"""The commands that run on the machine of the store and make no calls, with their modules."""

_OTHER_NAMES = {
    "direction": "maximize",
    "remove-tag": "untag",
    "remove-tags": "untag",
}
"""Names of Python parameters that are not options, each with the option to suggest instead."""

_HEADINGS = {
    "experiments": "ask:\n",
    "declare": "\nimport and export:\n",
    "sync": "\nevents recorded by `podium.record`:\n",
    "serve": "\nkeep results:\n",
}
"""The headings in the list of commands, each with the first command below it."""

_EXAMPLES = """\
examples:
  podium serve --store sqlite:///podium.db
  podium experiments
  podium arms rank_sweep --status completed
  podium eval rank_sweep lora_rank4 val --step 100
  podium score rank_sweep lora_rank4 test.pass_rate

exit codes: 0 success; 1 nothing found; 2 usage; 3 server error
`podium COMMAND --help` explains a command."""


class _Plain(str):
    """An argument after `--`. It is not an option, even if it begins with `-`."""

    __slots__ = ()


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **settings,
        )

    def parse_args(  # type: ignore[override]  # namespaces of other classes are not needed
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parses arguments. The error for an unknown option names similar options."""
        given, unknown = self._parser_of_known()(_with_plain(args or ()), namespace)
        if unknown:
            options = {option.lstrip("-"): option for option in self._option_string_actions}
            name = unknown[0].partition("=")[0].lstrip("-").replace("_", "-")
            near = near_names(_OTHER_NAMES.get(name, name), options)
            question = f"; did you mean {options[near[0]]}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{question}")
        return given

    def _parser_of_known(self) -> Callable[..., tuple[argparse.Namespace, list[str]]]:
        """Returns the method that parses known arguments.

        If possible, it is the one that accepts options between positional arguments.
        """
        parts = {action.nargs for action in self._get_positional_actions()}
        if parts & {argparse.PARSER, argparse.REMAINDER}:
            return self.parse_known_args
        return self.parse_known_intermixed_args

    def _parse_optional(self, arg_string: str) -> Any:
        return None if isinstance(arg_string, _Plain) else super()._parse_optional(arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = did_you_mean(str(value), action.choices)
            known = ", ".join(action.choices)
            raise argparse.ArgumentError(action, f"{value!r} is not one of {known}{near}")

    def error(self, message: str) -> NoReturn:
        see = " See" if message.endswith("?") else "; see"
        self.exit(Exit.USAGE, f"{self.prog}: {message}{see} `{self.prog} --help`\n")


def _with_plain(arguments: Sequence[str]) -> list[str]:
    """Marks the arguments after the first `--`.

    With options between positional arguments, argparse itself may forget the `--`.
    """
    end = list(arguments).index("--") + 1 if "--" in arguments else len(arguments)
    return [*arguments[:end], *map(_Plain, arguments[end:])]


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> NoReturn:
        sys.stdout.write(f"podium {podium.__version__}\n")
        parser.exit()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the options before the command, and the command's name.

    The attribute `rest` has the arguments after the name, for `parse_command`.
    """
    for argument in arguments:
        if not argument.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in argument):
            raise CommandError(f"argument {argument!r} is not UTF-8")
    parser = _main_parser()
    if not arguments:
        parser.exit(Exit.USAGE, parser.format_help())
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.error("give a command")
    if given.command not in COMMANDS:
        parser.error(_unknown_command(given.command))
    if given.command in SERVER_COMMANDS and (given.json or given.address or given.timeout):
        parser.error(
            f"{given.command} sends no requests, so it has no --address, --timeout or --json"
        )
    return given


def _unknown_command(command: str) -> str:
    near = did_you_mean(command, COMMANDS)
    return f"there is no command {command!r}" + (
        near or f"; the commands are {', '.join(COMMANDS)}"
    )


def parse_command(given: argparse.Namespace, module: ModuleType) -> argparse.Namespace:
    """Parses the arguments after the name of a command, and adds them to `given`."""
    before = None if given.command in SERVER_COMMANDS else given
    return command_parser(given.command, module).parse_args(given.rest, before)


def command_parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Returns the parser of a command.

    The help of the parser begins with the docstring of the command's module.
    """
    description, _, examples = (module.__doc__ or "").partition("\n\nExample")
    parser = _Parser(
        prog=f"podium {name}", description=description, epilog=f"example{examples.rstrip()}"
    )
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    if name in SERVER_COMMANDS:
        return parser
    _add_options(parser.add_argument_group("options of every command"))
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                # Without defaults, since they would replace the options before the action.
                each.argument_default = argparse.SUPPRESS
                _add_options(each.add_argument_group("options of every command"))
    return parser


def _main_parser() -> _Parser:
    width = max(map(len, COMMANDS))
    commands = "\n".join(
        f"{_HEADINGS.get(name, '')}  {name:{width}}  {text}" for name, text in COMMANDS.items()
    )
    parser = _Parser(
        prog="podium",
        usage="podium [OPTIONS] COMMAND ...",
        description="The results of experiment arms, and one answer to eval() and score().\n\n"
        f"{commands}",
        epilog=_EXAMPLES,
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_options(parser)
    return parser


def _seconds(text: str) -> float:
    try:
        return deadline(float(text), "a timeout")
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"give a positive number of seconds, not {text!r}"
        ) from None


def _add_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--address",
        help="the server: HOST:PORT or unix:PATH; or several HOST:PORT, separated by commas "
        "(default: $PODIUM_ADDRESS or localhost:50051)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="the seconds that a call may take (default: 10 for reads, 30 for writes)",
    )
    parser.add_argument("--json", action="store_true", help="write strict JSON, for programs")
