"""The rpcs of AccessService: they show and change the access tokens of a store.

A handler has the name of its rpc in snake case. It takes the request and returns the response.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from podium._limits.checks import (
    check_count,
    check_enum,
    check_experiment_name,
    check_name,
    check_range,
    check_time,
)
from podium._limits.limits import DEFAULT_LIMITS, Limits
from podium._model.access import Token, TokenLimits
from podium._values.tokens import ids_for_tokens, new_token
from podium._wire.listings import TOKEN, TOKEN_LIMITS
from podium.v1 import access_service_pb2 as access_pb2
from podium.v1 import token_pb2

from podium_server.api.callers import CALLER
from podium_server.api.pages import PageTokens, page_limits
from podium_server.errors import failure, out_of_range
from podium_server.store.contract import Store
from podium_server.store.tokens import Role, TokenRow, digest_of, is_within

__all__ = ["Tokens", "new_row", "public", "revocable"]

_MOST_TOKENS = 10_000
"""The most tokens of a store, including revoked ones. The server reads them all every 2 seconds."""
_MOST_OF_A_NAME = 100
_MOST_PREFIXES = 100
_MOST_LIMIT = 2**63 - 1
_ROLES = {role.value: f"ROLE_{role.name}" for role in Role}


class Tokens:
    """Serves AccessService from a store."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._page_tokens = PageTokens(store.page_key)
        self._limits = limits

    async def who_am_i(self, _request: access_pb2.WhoAmIRequest) -> access_pb2.WhoAmIResponse:
        """Returns the caller's token. The response is empty if the server requires no tokens."""
        token, rows = CALLER.get().token, CALLER.get().usage.rows
        if token is None:
            return access_pb2.WhoAmIResponse()
        stored = None if rows is None else await rows.stored()
        return access_pb2.WhoAmIResponse(token=_message(token, stored))

    async def create_token(
        self, request: access_pb2.CreateTokenRequest
    ) -> access_pb2.CreateTokenResponse:
        """Creates a token. Returns its description and the token itself."""
        manager = _manager()
        check_enum(request.role, "role", _ROLES)
        _check_included(request.prefixes, manager)
        row, secret = new_row(
            request.name,
            Role(request.role),
            tuple(request.prefixes) or manager.prefixes,
            _expiry(request) if request.HasField("expire_time") else None,
            _limits(request, manager),
        )
        await self._check_room(row, manager)
        await self._store.add_token(row)
        return access_pb2.CreateTokenResponse(token=_message(row), secret=secret)

    async def list_tokens(
        self, request: access_pb2.ListTokensRequest
    ) -> access_pb2.ListTokensResponse:
        """Returns a page of the tokens that the caller may manage."""
        limits = page_limits(request.page_size, self._limits)
        first = self._page_tokens.read(request, 0)
        rows = _included(await self._store.tokens(), _manager())
        response = access_pb2.ListTokensResponse()
        size = 0
        stored: dict[tuple[str, ...], int] = {}
        for row in rows[first : first + limits.rows]:
            if row.prefixes not in stored:
                stored[row.prefixes] = await self._store.row_count(row.prefixes)
            message = _message(row, stored[row.prefixes])
            size += message.ByteSize()
            if response.tokens and size > limits.size:
                break
            response.tokens.append(message)
        end = first + len(response.tokens)
        place = end if end < len(rows) else None
        response.next_page_token = self._page_tokens.write(request, place)
        return response

    async def revoke_token(
        self, request: access_pb2.RevokeTokenRequest
    ) -> access_pb2.RevokeTokenResponse:
        """Revokes the tokens with an id or a name, if the caller may manage them."""
        check_name(request.id_or_name, "id_or_name", self._limits)
        now, rows = _now(), _included(await self._store.tokens(), _manager())
        found = revocable(rows, request.id_or_name, now)
        for row in found:
            await self._store.revoke_token(row.id, now)
        return access_pb2.RevokeTokenResponse(tokens=map(_message, found))

    async def _check_room(self, row: TokenRow, manager: TokenRow) -> None:
        rows = await self._store.tokens()
        check_count(len(rows) + 1, "name", _MOST_TOKENS, "tokens", name="the store")
        same = revocable(_included(rows, manager), row.name, row.created)
        check_count(len(same) + 1, "name", _MOST_OF_A_NAME, "valid tokens", name=repr(row.name))


def new_row(
    name: str,
    role: Role,
    prefixes: tuple[str, ...],
    expires: int | None,
    limits: TokenLimits | None = None,
) -> tuple[TokenRow, str]:
    """Returns the row of a new token, and the token itself, which is not stored."""
    check_name(name, "name", DEFAULT_LIMITS)
    check_count(len(prefixes), "prefixes", _MOST_PREFIXES, "names")
    for prefix in prefixes:
        check_experiment_name(prefix, "prefixes", DEFAULT_LIMITS)
    new = new_token()
    digest, limits = digest_of(new.text), limits or TokenLimits()
    row = TokenRow(new.id, name, digest, role, prefixes, _now(), expires, limits=limits)
    return row, new.text


def revocable(rows: Iterable[TokenRow], id_or_name: str, now: int) -> list[TokenRow]:
    """Returns the tokens with this id or this name that are neither revoked nor expired.

    The text of a token is accepted in place of its id.
    """
    id_or_name = ids_for_tokens(id_or_name)
    return [row for row in rows if id_or_name in {row.id, row.name} and row.is_live(now)]


def public(row: TokenRow, stored_rows: int | None = None) -> Token:
    """Returns the description of a token, without its digest."""
    role, prefixes = row.role.name.lower(), list(row.prefixes)
    created, expires, revoked = map(_moment, (row.created, row.expires, row.revoked))
    times = created, expires, revoked
    return Token(row.id, row.name, role, prefixes, *times, row.limits, stored_rows)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1_000_000, UTC)


def _message(row: TokenRow, stored_rows: int | None = None) -> token_pb2.Token:
    return TOKEN.to_proto(public(row, stored_rows))


def _manager() -> TokenRow:
    """Returns the token of the caller, or raises TOKEN_MISSING.

    If callers without a token could create tokens, they could use these when the server later
    requires tokens.
    """
    token = CALLER.get().token
    if token is None:
        raise failure(
            "TOKEN_MISSING",
            "tokens cannot be managed through a server that requires no tokens; "
            "run `podium token` with --store and the URL of the server's store",
        )
    return token


def _is_included(prefix: str, manager: TokenRow) -> bool:
    return not manager.prefixes or any(is_within(prefix, each) for each in manager.prefixes)


def _included(rows: Iterable[TokenRow], manager: TokenRow) -> list[TokenRow]:
    """Returns the tokens that the manager may manage.

    All prefixes of such a token are within the manager's prefixes.
    """
    if not manager.prefixes:
        return list(rows)
    return [
        row
        for row in rows
        if row.prefixes and all(_is_included(prefix, manager) for prefix in row.prefixes)
    ]


def _check_included(prefixes: Iterable[str], manager: TokenRow) -> None:
    for prefix in prefixes:
        if not _is_included(prefix, manager):
            allowed = ", ".join(manager.prefixes)
            raise out_of_range(
                "prefixes",
                f"prefixes has {prefix[:60]!r}; your token only allows names within {allowed}",
            )


def _expiry(request: access_pb2.CreateTokenRequest) -> int:
    check_time(request.expire_time, "expire_time")
    micros: int = request.expire_time.ToMicroseconds()
    if micros <= _now():
        raise out_of_range("expire_time", "expire_time is in the past; give a later time")
    return micros


def _limits(request: access_pb2.CreateTokenRequest, manager: TokenRow) -> TokenLimits:
    """Returns the limits of a new token: the requested ones, else those of the manager's token."""
    given = TOKEN_LIMITS.from_proto(request.limits)
    for name, number in given.given().items():
        check_range(number, f"limits.{name}", 1, _MOST_LIMIT)
    for name, most in manager.limits.given().items():
        number = getattr(given, name) or 0
        if number > most:
            text = f"limits.{name} is {number:,}; your token is limited to {most:,}"
            raise out_of_range(f"limits.{name}", text)
    return given.or_else(manager.limits)


def _now() -> int:
    return time.time_ns() // 1000
