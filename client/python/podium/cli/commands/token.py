"""Creates, lists and revokes the tokens of a store or of a server.

The store is on this machine (--store, PODIUM_STORE). A server (--address, PODIUM_ADDRESS)
needs the token of an administrator. A running server rejects a revoked token within 5
seconds.

Examples:
  podium token create trainers --role recorder --prefix nlp --expires-in 90d
  podium token list
  podium token revoke trainers
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from podium import IssuedToken, Token
from podium._files import json_form
from podium._model.access import TokenLimits
from podium._values.enums import Role
from podium._values.tokens import ids_for_tokens
from podium.cli import _format
from podium.cli._arguments import TOKEN_LIMITS, add_several, token_limit
from podium.cli._connecting import open_client, server_module
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit

__all__ = ["add_arguments", "run_locally"]

_AGE = re.compile(r"([0-9]{1,5})([hd])")
_UNITS = {"h": "hours", "d": "days"}
_COLUMNS = ("ID", "NAME", "ROLE", "~PREFIXES", "LIMITS", "ROWS", "CREATED", "STATE")
_DEFAULT_STORE = "sqlite:///podium.db"


class _Tokens(Protocol):
    """The methods that manage the tokens of a server, or of a store on this machine."""

    def create_token(
        self,
        name: str,
        role: str,
        *,
        prefixes: Sequence[str],
        expire_time: datetime | None,
        limits: TokenLimits,
    ) -> IssuedToken: ...

    def tokens(self) -> Iterable[Token]: ...

    def revoke_token(self, id_or_name: str) -> list[Token]: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    _add_store(parser, default=None)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_create(actions.add_parser("create", help="create a token, and print it once"))
    actions.add_parser("list", help="list the tokens, without their secrets")
    revoke = actions.add_parser("revoke", help="revoke a token at once")
    revoke.add_argument(
        "token",
        metavar="ID|NAME",
        help="the id of a token, or a name, which several tokens may have",
    )
    for each in actions.choices.values():
        # Without a default, since it would replace the option before the action.
        _add_store(each, default=argparse.SUPPRESS)
    for name in ("create", "revoke"):
        actions.choices[name].add_argument(
            "--audit",
            type=Path,
            default=os.environ.get("PODIUM_SERVE_AUDIT") or None,
            metavar="FILE",
            help="with --store: the audit log of the server, which gets a line for the change "
            "(default: $PODIUM_SERVE_AUDIT)",
        )


def _add_store(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--store",
        default=default,
        metavar="URL",
        help="a store on this machine (default: $PODIUM_STORE; if no store and no "
        f"address is given, {_DEFAULT_STORE})",
    )


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.description = "Creates a token and prints it. Only its hash is stored."
    parser.add_argument(
        "name",
        metavar="NAME",
        help="who uses the token, such as nlp-team; tokens "
        "that replace each other have the same name",
    )
    parser.add_argument(
        "--role",
        required=True,
        choices=[str(role) for role in Role],
        help="reader: can read; recorder: can also record; "
        "admin: can also delete, and manage tokens",
    )
    text = (
        "allow only the experiment of this name and the experiments below it, NAME/... (default: "
        "all experiments)"
    )
    add_several(parser, "--prefix", text, metavar="NAME")
    parser.add_argument(
        "--expires-in",
        type=_moment,
        metavar="TIME",
        help="how long the token is valid, such as 12h or 90d (default: until it is revoked)",
    )
    text = f"a limit of the token: {', '.join(TOKEN_LIMITS)} (default: the limits of the server)"
    add_several(parser, "--limit", text, type=token_limit, metavar="NAME=NUMBER")


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Runs the action on a store of this machine, or on a server."""
    with _opened(arguments) as tokens:
        return _ACTIONS[arguments.action](arguments, tokens, console)


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[_Tokens]:
    if arguments.store and arguments.address:
        raise CommandError("give --store or --address, not both")
    store = arguments.store
    if not arguments.address:
        store = store or os.environ.get("PODIUM_STORE", "").strip()
    if not store and (arguments.address or os.environ.get("PODIUM_ADDRESS")):
        with open_client(arguments) as client:
            yield client
        return
    local: Any = server_module("podium_server.serve.tokens")
    try:
        yield local.LocalTokens(store or _DEFAULT_STORE, getattr(arguments, "audit", None))
    except local.StoreError as error:
        raise CommandError(str(error)) from error


def _create(arguments: argparse.Namespace, tokens: _Tokens, console: Console) -> Exit:
    issued = tokens.create_token(
        arguments.name,
        arguments.role,
        prefixes=arguments.prefix,
        expire_time=arguments.expires_in,
        limits=TokenLimits(**dict(arguments.limit)),
    )
    if console.as_json:
        console.json(json_form.to_json(issued))
        return Exit.OK
    sys.stderr.write(f"token {issued.token.id}: store the following text, it is shown only once\n")
    sys.stdout.write(f"{issued.secret}\n")
    return Exit.OK


def _list(_arguments: argparse.Namespace, tokens: _Tokens, console: Console) -> Exit:
    if console.as_json:
        console.json_list(map(json_form.to_json, tokens.tokens()))
    elif not console.table(map(_row, tokens.tokens()), *_COLUMNS):
        console.note("no tokens")
    return Exit.OK


def _revoke(arguments: argparse.Namespace, tokens: _Tokens, console: Console) -> Exit:
    revoked = tokens.revoke_token(ids_for_tokens(arguments.token))
    if console.as_json:
        console.json_list(map(json_form.to_json, revoked))
    for token in () if console.as_json else revoked:
        console.line(f"{token.id} ({token.name}) is revoked")
    if not revoked:
        console.note(f"no valid token has the id or the name {ids_for_tokens(arguments.token)!r}")
        return Exit.NOTHING
    return Exit.OK


_ACTIONS = {"create": _create, "list": _list, "revoke": _revoke}


def _row(token: Token) -> tuple[str, ...]:
    prefixes, created = _format.prefixes(token), _format.moment(token.create_time)
    limits, rows = _format.limits(token), _format.stored_rows(token)
    return token.id, token.name, token.role, prefixes, limits, rows, created, _state(token)


def _state(token: Token) -> str:
    if token.revoke_time is not None:
        return f"revoked {_format.moment(token.revoke_time)}"
    if token.expire_time is None:
        return "valid"
    is_live = datetime.now(UTC) < token.expire_time
    return f"{'valid until' if is_live else 'expired'} {_format.moment(token.expire_time)}"


def _moment(text: str) -> datetime:
    found = _AGE.fullmatch(text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"give hours or days, such as 12h or 90d, not {text!r}")
    return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})
