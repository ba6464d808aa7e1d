"""Command-line arguments that several commands share."""

import argparse
import json
from collections.abc import Collection
from dataclasses import fields
from enum import StrEnum
from typing import Any

from podium._limits.limits import DEFAULT_LIMITS
from podium._model.access import TokenLimits
from podium._values.enums import ArmStatus
from podium._values.suggest import did_you_mean

__all__ = [
    "TOKEN_LIMITS",
    "add_arm",
    "add_arm_filters",
    "add_experiment",
    "add_filters",
    "add_limit",
    "add_several",
    "add_statuses",
    "add_step_range",
    "arm_filters",
    "config_filter",
    "named_number",
    "page_size",
    "positive",
    "step",
    "token_limit",
]

TOKEN_LIMITS = tuple(item.name for item in fields(TokenLimits))
"""The names of the limits that a token can have."""
_MOST = 2**31 - 1
"""The greatest value of `--limit`."""
_INT64 = range(-(2**63), 2**63)
_DIGITS = 19
"""The number of digits of the greatest integer of 64 bits."""
_ONLY_STATUS = "only entries with this status"


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for the name of an experiment."""
    parser.add_argument("experiment", metavar="EXPERIMENT", help="the name of the experiment")


def add_arm(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for the names of an experiment and of one of its arms."""
    add_experiment(parser)
    parser.add_argument("arm", metavar="ARM", help="the name of the arm")


def add_arm_filters(parser: argparse.ArgumentParser, text: str = _ONLY_STATUS) -> None:
    """Adds options that filter arms. `text` is the help of --status."""
    add_filters(parser, "arms", ArmStatus, text)
    text = (
        "only arms with this value in the run_config, such as algorithm.params.lr=0.1, or with a "
        "number in a range: seed=1..5, seed=1.. or seed=..5"
    )
    add_several(parser, "--config", text, type=config_filter, metavar="PATH=VALUE")
    parser.add_argument("--group", metavar="NAME", help="only arms of this group")


def arm_filters(given: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of the options of `add_arm_filters`, as arguments of the Python client."""
    return {
        "status": given.status,
        "group_name": given.group,
        "name_prefix": given.prefix,
        "tags": given.tag,
        "config": dict(given.config),
    }


def add_filters(
    parser: argparse.ArgumentParser, what: str, statuses: type[StrEnum], text: str = _ONLY_STATUS
) -> None:
    """Adds options that filter by name, status and tags.

    `what` is the noun for the entries, in the plural, such as "arms". `text` is the help of
    --status.
    """
    parser.add_argument(
        "--prefix", metavar="TEXT", help=f"only {what} whose name begins with this text"
    )
    add_statuses(parser, statuses, text)
    add_several(parser, "--tag", f"only {what} that have every given tag")


def add_several(
    parser: argparse._ActionsContainer, option: str, text: str, **settings: Any
) -> None:
    """Adds an option that can be repeated. `text` is its help."""
    settings = {"default": [], "help": f"{text}; repeat the option for several", **settings}
    parser.add_argument(option, action="append", **settings)


def add_step_range(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds options for the first and the last step.

    `what` is the noun for the entries, in the plural.
    """
    for option, side in (("--min-step", "later"), ("--max-step", "earlier")):
        text = f"only {what} at this step or {side}"
        parser.add_argument(option, type=step, metavar="STEP", help=text)


def add_statuses(parser: argparse.ArgumentParser, statuses: type[StrEnum], text: str) -> None:
    """Adds the option --status. `text` is its help."""
    add_several(parser, "--status", text, default=None, choices=[str(each) for each in statuses])


def add_limit(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the option --limit. `what` is the noun for the entries of the list, in the plural."""
    parser.add_argument("--limit", type=positive, metavar="N", help=f"show only the first N {what}")


def page_size(limit: int | None) -> int:
    """Returns the page size for a list. If a limit is given, no page is larger than the limit."""
    most = DEFAULT_LIMITS.page_rows
    return most if limit is None else min(limit, most)


def step(text: str) -> int:
    """Parses a training step: an integer of 64 bits, which may be negative."""
    return _integer(text, "a step")


def _integer(text: str, what: str = "a whole number") -> int:
    try:
        number = int(text)
    except ValueError:
        number = _INT64.stop
    if number not in _INT64:
        raise argparse.ArgumentTypeError(f"{what} must be an integer of 64 bits, not {text!r}")
    return number


def config_filter(text: str) -> tuple[str, Any]:
    """Parses PATH=VALUE, a filter of configurations.

    VALUE is JSON, a range such as 1..5, or any other string.
    """
    path, equals, value = text.partition("=")
    if not (path and equals):
        raise argparse.ArgumentTypeError(f"give PATH=VALUE, not {text!r}")
    least, dots, most = value.partition("..")
    if dots:
        try:
            return path, _range(least, most)
        except ValueError:
            return path, value
    try:
        return path, json.loads(value, parse_int=_integer)
    except (ValueError, RecursionError):
        return path, value


def _range(least: str, most: str) -> tuple[float | None, float | None]:
    bounds = float(least) if least else None, float(most) if most else None
    if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]
        raise argparse.ArgumentTypeError(
            f"the range {least}..{most} is reversed; give {most}..{least}"
        )
    return bounds


def positive(text: str) -> int:
    """Parses a positive whole number. Replaces a number over 2^31-1 by 2^31-1."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"give a positive whole number, not {text!r}")
    return min(int(text), _MOST)


def token_limit(text: str) -> tuple[str, int]:
    """Parses a limit of a token, such as `calls_per_second=10`."""
    return named_number(text, TOKEN_LIMITS)


def named_number(text: str, names: Collection[str]) -> tuple[str, int]:
    """Parses NAME=NUMBER: a limit with one of the names, and a number from 1 to 2^63-1."""
    name, equals, shown = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"give NAME=NUMBER, not {text!r}")
    if name not in names:
        near = did_you_mean(name, names) or f"; the limits are {', '.join(names)}"
        raise argparse.ArgumentTypeError(f"{text!r}: there is no limit {name!r}{near}")
    digits = shown.replace("_", "")
    number = int(digits) if digits.isdecimal() and len(digits) <= _DIGITS else 0
    if not 0 < number < _INT64.stop:
        raise argparse.ArgumentTypeError(
            f"{text!r}: {name} must be a whole number from 1 to 2^63-1, not {shown!r}"
        )
    return name, number
