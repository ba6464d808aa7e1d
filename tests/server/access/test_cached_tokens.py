"""How long a server uses what it has read of tokens; without a server, and with a time at will."""

import math
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

    def add(self) -> str:
        """Adds a token, and returns it."""
        key, token = new_token()
        self.rows[key] = TokenRow(key, "t", digest_of(token), Role.READER, (), 0)
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
