"""Tests of how long a server uses the tokens that it has read; no server runs."""

import math
import time
from dataclasses import replace

import pytest
from podium._values.tokens import new_token, token_id
from podium.errors import UnauthenticatedError
from podium_server.rpc.access.tokens import Access
from podium_server.store.tokens import Role, TokenRow, digest_of

_METHOD = "podium.v1.ResultsService.Eval"


class _Tokens:
    """A store of tokens, and the access control of a server that reads them."""

    def __init__(self) -> None:
        self.rows: dict[str, TokenRow] = {}
        self.access = Access(self._read, is_on=True)

    async def _read(self) -> list[TokenRow]:
        return list(self.rows.values())

    def add(self, *, expires: int | None = None) -> str:
        """Adds a token, and returns it. `expires` is in microseconds since 1970."""
        key, token = new_token()
        self.rows[key] = TokenRow(key, "t", digest_of(token), Role.READER, (), 0, expires)
        return token

    def revoke(self, token: str) -> None:
        """Revokes a token in the store."""
        key = token_id(token)
        self.rows[key] = replace(self.rows[key], revoked=1)

    def forget(self) -> None:
        """Makes the server read the tokens again, as if the time for caching were over."""
        self.access._read_at = -math.inf

    async def enter(self, token: str) -> None:
        """Makes a call with a token."""
        await self.access.enter(_METHOD, lambda: [f"Bearer {token}"])

    async def enter_by_certificate(self, token: str) -> None:
        """Makes a call with a certificate that stands for a token."""
        name = f"podium-token:{token_id(token)}".encode()
        await self.access.enter(_METHOD, list, lambda: [name])


async def test_a_revoked_token_stays_rejected() -> None:
    """After the server has read a revocation, it rejects every call with that token."""
    tokens = _Tokens()
    token, other = tokens.add(), tokens.add()
    await tokens.enter(token)
    tokens.revoke(token)
    await tokens.enter(token)  # the server still uses the tokens that it has read
    tokens.forget()
    await tokens.enter(other)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError, match="was revoked"):
            await tokens.enter(token)


async def test_a_new_token_counts_at_once() -> None:
    """If the server does not know the token or certificate of a call, it reads the tokens again.

    So a new token is accepted at its first call.
    """
    tokens = _Tokens()
    await tokens.enter(tokens.add())
    await tokens.enter(tokens.add())
    await tokens.enter_by_certificate(tokens.add())
    with pytest.raises(UnauthenticatedError, match="is unknown to this server"):
        await tokens.enter_by_certificate(new_token().text)


async def test_a_cached_token_expires_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached token is rejected from the moment of its expiry."""
    tokens, now = _Tokens(), [5_000]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    token = tokens.add(expires=6)
    await tokens.enter(token)
    now[0] = 5_999
    await tokens.enter(token)
    now[0] = 6_000
    with pytest.raises(UnauthenticatedError, match=r"the token 't' .* has expired"):
        await tokens.enter(token)


async def test_a_revoked_token_is_not_called_expired() -> None:
    """If a token is revoked before its expiry, the error says that it was revoked."""
    tokens = _Tokens()
    token = tokens.add(expires=2**62)
    tokens.revoke(token)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await tokens.enter(token)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER "])
async def test_the_scheme_of_a_header_in_upper_or_lower_case(scheme: str) -> None:
    """The scheme `Bearer` is accepted in upper or lower case, since a proxy may change the case."""
    tokens = _Tokens()
    token = tokens.add()
    await tokens.access.enter(_METHOD, lambda: [scheme + token])


@pytest.mark.parametrize("prefix", ["", "Basic ", "Bearer", "Token ", "Bearer  "])
async def test_another_scheme_is_rejected(prefix: str) -> None:
    """A header of any form other than `Bearer TOKEN` is rejected with TOKEN_INVALID."""
    tokens = _Tokens()
    token = tokens.add()
    with pytest.raises(UnauthenticatedError) as raised:
        await tokens.access.enter(_METHOD, lambda: [prefix + token])
    assert raised.value.reason == "TOKEN_INVALID"


async def test_two_headers_are_rejected_even_if_the_first_is_known() -> None:
    """A call with two headers is rejected, even if both have valid tokens.

    Otherwise a proxy could check one token while the server uses the other.
    """
    tokens = _Tokens()
    token, other = tokens.add(), tokens.add()
    await tokens.enter(token)
    with pytest.raises(UnauthenticatedError, match="send one header"):
        await tokens.access.enter(_METHOD, lambda: [f"Bearer {token}", f"Bearer {other}"])
