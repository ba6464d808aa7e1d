"""The tokens that a store keeps.

A token's role determines the calls that it allows. Its prefixes determine the experiments on which
it allows them.
"""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum

from podium._model.access import TokenLimits

__all__ = ["Role", "TokenRow", "digest_of", "is_within"]


class Role(IntEnum):
    """The calls that a token allows. Each role also allows the calls of the roles before it."""

    READER = 1
    RECORDER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret.

    The row of a revoked or expired token is kept, so that no other token gets its id.

    Attributes:
        id: The id, which is part of the token.
        name: The name, chosen by people. Tokens with the same name may write the same streams, so
            that a new token can replace an old one.
        digest: The SHA-256 of the token.
        role: The calls that the token allows.
        prefixes: The names of experiments that the token includes, with all names below them.
            If empty, all names are allowed.
        created: When the token was created, in microseconds since 1970 like the other times.
        expires: When the token expires, or None if it never does.
        revoked: When the token was revoked, or None.
        limits: The limits of the token's calls and stored rows.
    """

    id: str
    name: str
    digest: bytes
    role: Role
    prefixes: tuple[str, ...]
    created: int
    expires: int | None = None
    revoked: int | None = None
    limits: TokenLimits = field(default_factory=TokenLimits)

    def is_live(self, now: int) -> bool:
        """Returns whether the token is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def is_within(name: str, prefix: str) -> bool:
    """Returns whether a name equals a prefix or is below it, such as `team/a` for `team`."""
    return name == prefix or name.startswith(prefix + "/")


def digest_of(token: str) -> bytes:
    """Returns the digest under which a token is stored.

    A token is long and random, so a single SHA-256 is enough.
    """
    return hashlib.sha256(token.encode()).digest()
