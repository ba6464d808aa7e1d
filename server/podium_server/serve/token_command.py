"""`podium token`: creates, lists and revokes tokens, on the machine of the store."""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from podium.errors import PodiumError

from podium_server.serve import tokens
from podium_server.serve.settings import Settings
from podium_server.store.contract import StoreError
from podium_server.store.tokens import Role, TokenRow

__all__ = ["add_arguments", "run"]

_EXIT_NOTHING, _EXIT_USAGE = 1, 2
_AGE = re.compile(r"([0-9]{1,5})([hd])")
_UNITS = {"h": "hours", "d": "days"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Creates, lists and revokes the tokens of a store, on its own machine. A server that uses\n"
        "the store need not be stopped: it knows of every change within 2 seconds."
    )
    parser.epilog = (
        "examples:\n"
        "  podium token create trainers --role recorder --prefix nlp --expires-in 90d\n"
        "  podium token list\n"
        "  podium token revoke trainers"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create a token, and print it once")
    create.description = "Creates a token and prints it. It is stored nowhere: only its hash is."
    create.add_argument("name", metavar="NAME", help="who will use it; see `podium token list`")
    create.add_argument(
        "--role",
        required=True,
        choices=[role.name.lower() for role in Role],
        help="reader: read; recorder: record, too; admin: delete, too",
    )
    create.add_argument(
        "--prefix",
        action="append",
        default=[],
        metavar="NAME",
        help="only the experiment of this name and those below it (NAME/...); may be given more "
        "than once (default: all experiments)",
    )
    create.add_argument(
        "--expires-in",
        type=_moment,
        metavar="TIME",
        help="how long it is valid, such as 12h or 90d (default: until it is revoked)",
    )
    listing = actions.add_parser("list", help="list the tokens, without their secrets")
    revoke = actions.add_parser("revoke", help="revoke a token at once")
    revoke.add_argument("token", metavar="ID|NAME", help="its id, or the name of several")
    for each in (create, listing, revoke):
        each.add_argument(
            "--store",
            default=os.environ.get("PODIUM_STORE", Settings().store),
            metavar="URL",
            help="the store (default: $PODIUM_STORE or %(default)s)",
        )


def run(arguments: argparse.Namespace) -> int:
    """Runs the action. Returns the exit code."""
    try:
        return _ACTIONS[arguments.action](arguments)
    except (PodiumError, StoreError) as error:
        sys.stderr.write(f"podium: {error}\n")
        return _EXIT_USAGE


def _create(arguments: argparse.Namespace) -> int:
    row, token = tokens.create(
        arguments.store,
        arguments.name,
        arguments.role,
        tuple(arguments.prefix),
        arguments.expires_in,
    )
    sys.stderr.write(f"token {row.id}: keep what follows, it is shown only once\n")
    sys.stdout.write(f"{token}\n")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = [("ID", "NAME", "ROLE", "PREFIXES", "CREATED", "STATE")]
    rows += map(_columns, tokens.listed(arguments.store))
    for line in _aligned(rows):
        sys.stdout.write(f"{line}\n")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    rows = tokens.revoke(arguments.store, arguments.token)
    for row in rows:
        sys.stdout.write(f"{row.id} ({row.name}) is revoked\n")
    if not rows:
        sys.stderr.write(f"podium: no valid token has the id or the name {arguments.token!r}\n")
        return _EXIT_NOTHING
    return 0


_ACTIONS = {"create": _create, "list": _list, "revoke": _revoke}


def _columns(row: TokenRow) -> tuple[str, ...]:
    prefixes = " ".join(row.prefixes) or "(all)"
    return row.id, row.name, row.role.name.lower(), prefixes, _day(row.created), _state(row)


def _state(row: TokenRow) -> str:
    if row.revoked is not None:
        return f"revoked {_day(row.revoked)}"
    if row.expires is None:
        return "valid"
    is_live = row.is_live(time.time_ns() // 1000)
    return f"valid until {_day(row.expires)}" if is_live else f"expired {_day(row.expires)}"


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _moment(text: str) -> datetime:
    found = _AGE.fullmatch(text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"give hours or days, such as 12h or 90d, not {text!r}")
    return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})
