"""How long a server uses what it has read of tokens; without a server, and with a time at will."""

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
    """A store of tokens, with the access to a server that reads them."""

    def __init__(self) -> None:
        self.rows: dict[str, TokenRow] = {}
        self.access = Access(self._read, is_on=True)

    async def _read(self) -> list[TokenRow]:
        return list(self.rows.values())

    def add(self, *, expires: int | None = None) -> str:
        """Adds a token, and returns it. It expires at a time in microseconds since 1970."""
        key, token = new_token()
        self.rows[key] = TokenRow(key, "t", digest_of(token), Role.READER, (), 0, expires)
        return token

    def revoke(self, token: str) -> None:
        """Revokes a token in the store."""
        key = token_id(token)
        self.rows[key] = replace(self.rows[key], revoked=1)

    def forget(self) -> None:
        """Lets the time pass for which tokens are cached."""
        self.access._read_at = -math.inf

    async def enter(self, token: str) -> None:
        """Makes a call with a token."""
        await self.access.enter(_METHOD, lambda: [f"Bearer {token}"])

    async def enter_by_certificate(self, token: str) -> None:
        """Makes a call with a certificate that stands for a token."""
        name = f"podium-token:{token_id(token)}".encode()
        await self.access.enter(_METHOD, list, lambda: [name])


async def test_a_revoked_token_stays_refused() -> None:
    """Each call after the next read of tokens is refused, not only the one that made the read."""
    tokens = _Tokens()
    token, other = tokens.add(), tokens.add()
    await tokens.enter(token)
    tokens.revoke(token)
    await tokens.enter(token)  # for a moment the server uses what it has read
    tokens.forget()
    await tokens.enter(other)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError, match="was revoked"):
            await tokens.enter(token)


async def test_a_new_token_counts_at_once() -> None:
    """A token or certificate that the last read did not find makes the server read again."""
    tokens = _Tokens()
    await tokens.enter(tokens.add())
    await tokens.enter(tokens.add())
    await tokens.enter_by_certificate(tokens.add())
    with pytest.raises(UnauthenticatedError, match="is unknown to this server"):
        await tokens.enter_by_certificate(new_token().text)


async def test_a_cached_token_expires_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that expires between two reads of tokens is refused from that moment on."""
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
    """The error says which of both happened, also of a token with an expiry."""
    tokens = _Tokens()
    token = tokens.add(expires=2**62)
    tokens.revoke(token)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await tokens.enter(token)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER "])
async def test_the_scheme_of_a_header_has_no_case(scheme: str) -> None:
    """HTTP schemes are case-insensitive. A proxy may change them."""
    tokens = _Tokens()
    token = tokens.add()
    await tokens.access.enter(_METHOD, lambda: [scheme + token])


@pytest.mark.parametrize("prefix", ["", "Basic ", "Bearer", "Token ", "Bearer  "])
async def test_another_scheme_is_refused(prefix: str) -> None:
    """Only `Bearer TOKEN` is accepted."""
    tokens = _Tokens()
    token = tokens.add()
    with pytest.raises(UnauthenticatedError) as raised:
        await tokens.access.enter(_METHOD, lambda: [prefix + token])
    assert raised.value.reason == "TOKEN_INVALID"


async def test_two_headers_are_refused_even_if_the_first_is_known() -> None:
    """A proxy and the server never use different tokens of one call."""
    tokens = _Tokens()
    token, other = tokens.add(), tokens.add()
    await tokens.enter(token)
    with pytest.raises(UnauthenticatedError, match="send one header"):
        await tokens.access.enter(_METHOD, lambda: [f"Bearer {token}", f"Bearer {other}"])
