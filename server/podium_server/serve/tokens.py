"""Creates, lists and revokes the tokens of a store on this machine, also while a server uses it."""

import time
from datetime import datetime

from podium._model.access import IssuedToken, Token, TokenLimits

from podium_server.api.tokens import new_row, public, revocable
from podium_server.store.contract import StoreError
from podium_server.store.open import add_token, read_tokens, revoke_token
from podium_server.store.tokens import Role, TokenRow

__all__ = ["LocalTokens", "StoreError", "create"]


def create(
    url: str,
    name: str,
    role: str,
    prefixes: tuple[str, ...],
    expires: datetime | None,
    limits: TokenLimits | None = None,
) -> tuple[TokenRow, str]:
    """Creates a token. Returns its row and the token itself, which is not stored.

    Raises:
        PodiumError: A name or prefix is invalid.
        StoreError: The store cannot be opened or written.
    """
    ends = None if expires is None else round(expires.timestamp() * 1_000_000)
    row, secret = new_row(name, Role[role.upper()], prefixes, ends, limits)
    add_token(url, row)
    return row, secret


class LocalTokens:
    """Manages the tokens of a store with the methods of `podium.Client`.

    Each method raises StoreError if the store cannot be opened, read or written.

    Args:
        url: The URL of the store. It is created with the first token.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def create_token(
        self,
        name: str,
        role: str,
        *,
        prefixes: tuple[str, ...] = (),
        expire_time: datetime | None = None,
        limits: TokenLimits | None = None,
    ) -> IssuedToken:
        """Creates a token."""
        row, secret = create(self._url, name, role, tuple(prefixes), expire_time, limits)
        return IssuedToken(public(row), secret)

    def tokens(self) -> list[Token]:
        """Returns all tokens."""
        return [public(row) for row in read_tokens(self._url)]

    def revoke_token(self, id_or_name: str) -> list[Token]:
        """Revokes the valid tokens with an id or a name, and returns them."""
        now = time.time_ns() // 1000
        found = revocable(read_tokens(self._url), id_or_name, now)
        for row in found:
            revoke_token(self._url, row.id, now)
        return [public(row) for row in found]
