"""Finds the caller of a call by its token."""

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from podium._values.tokens import token_id
from podium.errors import PodiumError

from podium_server.api.callers import CALLER, Caller
from podium_server.api.quotas import Quotas
from podium_server.errors import failure
from podium_server.rpc.access.rules import RULES
from podium_server.rpc.telemetry import CURRENT_CALL
from podium_server.store.tokens import Role, TokenRow, digest_of

__all__ = ["Access"]

_FRESH_SECONDS = 2.0
"""The seconds for which tokens are cached, and within which a revocation takes effect."""
_PAUSE_SECONDS = 0.1
"""The least seconds between two reads of all tokens. Each unknown token causes such a read."""
_SCHEME = "bearer "
_CERTIFICATE = b"podium-token:"
"""A certificate counts as the token whose id follows this prefix in one of its names (SAN)."""
_PUBLIC = frozenset(method for method, rule in RULES.items() if rule.role is None)


class Access:
    """Decides which callers may call which method.

    Args:
        read_tokens: Reads all tokens of the store.
        is_on: Whether calls need tokens. If not, everybody may call every method.
        is_exposed: Whether calls can arrive over a network without encryption. If so, and if calls
            need no tokens, a call with a token is rejected: others may have read its token.
        quotas: Counts and limits the calls of each token, and of all callers together.
    """

    def __init__(
        self,
        read_tokens: Callable[[], Awaitable[list[TokenRow]]],
        *,
        is_on: bool,
        is_exposed: bool = False,
        quotas: Quotas | None = None,
    ) -> None:
        self._read_tokens = read_tokens
        self._is_on = is_on
        self._is_exposed = is_exposed
        self._quotas = quotas or Quotas()
        self._tokens: Mapping[str, TokenRow] = {}
        self._everybody = self._caller(None)
        self._checked: dict[str, Caller] = {}
        """The callers with valid tokens, by their `authorization` headers.

        This cache is cleared whenever the tokens are read from the store.
        """
        self._read_at = -math.inf
        self._reading = asyncio.Lock()

    async def enter(
        self,
        method: str,
        authorization: Callable[[], Iterable[str]],
        names: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        """Checks the caller of a method before the request is read, and sets `CALLER`.

        Counts the call for the limits of the caller.

        Args:
            method: The full name of the method, such as `podium.v1.ResultsService.Eval`.
            authorization: Returns the values of the call's `authorization` headers.
            names: Returns the names (SAN) in the verified certificate of the client.

        Raises:
            PodiumError: TOKEN_MISSING, TOKEN_INVALID, ROLE_TOO_LOW, QUOTA_EXCEEDED or OVERLOADED.
        """
        if not self._is_on:
            if self._is_exposed and any(authorization()):
                raise _invalid(
                    "a token was sent to this server without encryption, so others may have read "
                    "it; revoke it. This server neither encrypts nor needs tokens: unset "
                    "PODIUM_TOKEN and PODIUM_TOKEN_FILE, or use a server with TLS"
                )
            if method not in _PUBLIC:
                _admit(self._everybody)
            return
        rule = RULES.get(method)
        if rule is None:
            raise failure("ROLE_TOO_LOW", f"no role may call {method}", role="no")
        if rule.role is None:
            return
        given = list(authorization())
        caller = self._known(given) or await self._find(given, names)
        token = caller.token
        # The tokens of known callers were valid when they were read, so only expiry can end them.
        if token is None or token.expires is not None:
            token = _check_live(token)
        _admit(caller)
        if token.role < rule.role:
            raise _too_low(method, Role(rule.role).name.lower())
        if rule.is_about_all and token.prefixes:
            text = f"{method} needs a token without prefixes; create one without --prefix"
            raise failure("ROLE_TOO_LOW", text, role="reader")

    def _caller(self, token: TokenRow | None) -> Caller:
        usage = self._quotas.of(token)
        if token is None:
            return Caller(None, usage)
        return Caller(token, usage, partial(self._check_again, token.id))

    async def _check_again(self, key: str) -> None:
        _check_live((await self._current()).get(key))

    def _known(self, given: list[str]) -> Caller | None:
        """Returns the caller of a header that was already checked, or None if it was not."""
        if len(given) != 1 or self._read_at <= time.monotonic() - _FRESH_SECONDS:
            return None
        return self._checked.get(given[0])

    async def _find(self, given: list[str], names: Callable[[], Iterable[bytes]]) -> Caller:
        if given:
            caller = self._caller(_check_live(await self._by_secret(given)))
            self._checked[given[0]] = caller
            return caller
        for name in names():
            if name.startswith(_CERTIFICATE):
                key = name.removeprefix(_CERTIFICATE).decode(errors="replace")
                return self._caller(_check_live(await self._by_id(key)))
        raise failure(
            "TOKEN_MISSING",
            "this server requires a token: set PODIUM_TOKEN or PODIUM_TOKEN_FILE, or ask an "
            "administrator for one (`podium token create`)",
        )

    async def _by_secret(self, given: list[str]) -> TokenRow | None:
        text, key = _parsed(given)
        digest = digest_of(text)
        # A token may be newer than the last read, so an unknown one causes another read. An unknown
        # id and a wrong secret take the same time and get the same error.
        return _matching(await self._current(), key, digest) or _matching(
            await self._read_after(time.monotonic()), key, digest
        )

    async def _by_id(self, key: str) -> TokenRow | None:
        return (await self._current()).get(key) or (await self._read_after(time.monotonic())).get(
            key
        )

    async def _current(self) -> Mapping[str, TokenRow]:
        oldest = time.monotonic() - _FRESH_SECONDS
        return self._tokens if self._read_at > oldest else await self._read_after(oldest)

    async def _read_after(self, moment: float) -> Mapping[str, TokenRow]:
        """Returns the tokens, read at `moment` or later. Concurrent calls share one read."""
        pause = self._read_at + _PAUSE_SECONDS - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        async with self._reading:
            if self._read_at < moment:
                now = time.monotonic()
                self._tokens = {row.id: row for row in await self._read_tokens()}
                self._checked.clear()
                self._read_at = now
        return self._tokens


def _admit(caller: Caller) -> None:
    """Sets `CALLER`, and counts the call for the limits of its caller until the call ends."""
    CALLER.set(caller)
    caller.usage.enter()
    if call := CURRENT_CALL.get():
        call.on_end = caller.usage.leave


def _matching(tokens: Mapping[str, TokenRow], key: str, digest: bytes) -> TokenRow | None:
    """Returns the token with an id and a digest, or None. Takes the same time in both cases."""
    found = tokens.get(key)
    is_equal = hmac.compare_digest(digest, found.digest if found else digest[::-1])
    return found if is_equal else None


def _parsed(given: list[str]) -> tuple[str, str]:
    """Returns the token in the headers of a call, and the id of the token."""
    text = given[0]
    if len(given) > 1 or text[: len(_SCHEME)].lower() != _SCHEME:
        raise _invalid("send one header `authorization: Bearer TOKEN`")
    text = text[len(_SCHEME) :]
    try:
        return text, token_id(text)
    except ValueError as error:
        raise _invalid(str(error)) from error


def _check_live(token: TokenRow | None) -> TokenRow:
    if token is None:
        raise _invalid("the token is unknown to this server; create one with `podium token create`")
    if token.is_live(time.time_ns() // 1000):
        return token
    how = "has expired" if token.revoked is None else "was revoked"
    raise _invalid(f"the token {token.name!r} ({token.id}) {how}; create a new one")


def _invalid(text: str) -> PodiumError:
    return failure("TOKEN_INVALID", text)


def _too_low(method: str, role: str) -> PodiumError:
    name = method.rpartition(".")[2]
    return failure("ROLE_TOO_LOW", f"{name} needs a token with the role {role}", role=role)
