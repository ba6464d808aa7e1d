"""Creates, lists and revokes the tokens of a store on this machine, also while a server uses it."""

import time
from datetime import datetime

from podium._limits.checks import check_experiment_name, check_name
from podium._limits.limits import DEFAULT_LIMITS
from podium._values.tokens import new_token

from podium_server.store.open import add_token, read_tokens, revoke_token
from podium_server.store.tokens import Role, TokenRow, digest_of

__all__ = ["create", "listed", "revoke"]


def create(
    url: str, name: str, role: str, prefixes: tuple[str, ...], expires: datetime | None
) -> tuple[TokenRow, str]:
    """Creates a token. Returns its row and the token itself, which is not stored.

    Raises:
        PodiumError: A name or prefix is invalid.
        StoreError: The store cannot be opened or written.
    """
    check_name(name, "name", DEFAULT_LIMITS)
    for prefix in prefixes:
        check_experiment_name(prefix, "prefix", DEFAULT_LIMITS)
    new = new_token()
    row = TokenRow(
        id=new.id,
        name=name,
        digest=digest_of(new.text),
        role=Role[role.upper()],
        prefixes=prefixes,
        created=_now(),
        expires=None if expires is None else round(expires.timestamp() * 1_000_000),
    )
    add_token(url, row)
    return row, new.text


def listed(url: str) -> list[TokenRow]:
    """Returns all tokens of a store. Raises StoreError like `create`."""
    return read_tokens(url)


def revoke(url: str, named: str) -> list[TokenRow]:
    """Revokes the live tokens with an id or a name. Returns the tokens that were live.

    Raises:
        StoreError: The store cannot be opened or written.
    """
    now = _now()
    found = [row for row in read_tokens(url) if named in {row.id, row.name} and row.is_live(now)]
    for row in found:
        revoke_token(url, row.id, now)
    return found


def _now() -> int:
    return time.time_ns() // 1000
