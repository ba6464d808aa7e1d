"""Creates, lists and revokes the tokens of a store without a call to its server.

A server may use the store meanwhile.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from podium._model.access import IssuedToken, Token, TokenLimits

from podium_server.api.tokens import new_row, public, revocable
from podium_server.rpc.audit import Audit, AuditedCall, AuditError
from podium_server.store.contract import StoreError
from podium_server.store.open import add_token, count_rows, read_tokens, revoke_token
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
    """Creates a token. Returns its row and the token itself, which is not stored."""
    ends = None if expires is None else round(expires.timestamp() * 1_000_000)
    row, secret = new_row(name, Role[role.upper()], prefixes, ends, limits)
    add_token(url, row)
    return row, secret


class LocalTokens:
    """Manages the tokens of a store with the methods of `podium.Client`.

    Each method raises StoreError if the store cannot be opened, read or written, or if the audit
    log cannot be opened.

    Args:
        url: The URL of the store. If the store is missing, the first `create_token` creates it.
        audit: The audit log of the server, which gets a line for each change. None for no log.
    """

    def __init__(self, url: str, audit: Path | None = None) -> None:
        self._url = url
        self._audit = audit

    def create_token(
        self,
        name: str,
        role: str,
        *,
        prefixes: tuple[str, ...] = (),
        expire_time: datetime | None = None,
        limits: TokenLimits | None = None,
    ) -> IssuedToken:
        """Creates a token. Returns its description and the token itself."""
        subject = {"name": name, "role": role.upper(), "prefixes": list(prefixes)[:100]}
        with self._noted("CreateToken", subject):
            row, secret = create(self._url, name, role, tuple(prefixes), expire_time, limits)
        return IssuedToken(public(row), secret)

    def tokens(self) -> list[Token]:
        """Returns all tokens."""
        rows = read_tokens(self._url)
        prefixes = list({row.prefixes for row in rows})
        stored = dict(zip(prefixes, count_rows(self._url, prefixes), strict=True))
        return [public(row, stored[row.prefixes]) for row in rows]

    def revoke_token(self, id_or_name: str) -> list[Token]:
        """Revokes the valid tokens with an id or a name, and returns them."""
        now = time.time_ns() // 1000
        found = revocable(read_tokens(self._url), id_or_name, now)
        with self._noted("RevokeToken", {"id_or_name": id_or_name}):
            for row in found:
                revoke_token(self._url, row.id, now)
        return [public(row) for row in found]

    @contextmanager
    def _noted(self, method: str, subject: Mapping[str, Any]) -> Iterator[None]:
        """Opens the audit log, runs the block, and then writes a line about the block's change."""
        if self._audit is None:
            yield
            return
        try:
            audit = Audit(self._audit)
        except AuditError as error:
            raise StoreError(str(error)) from error
        try:
            yield
            call = AuditedCall(f"podium.v1.AccessService.{method}", f"local:uid={os.getuid()}")
            call.subject = subject
            asyncio.run(audit.note(call, "OK", ""))
        finally:
            audit.close()
