"""The tokens that a store keeps: who may call, in which role, on which names."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Role", "TokenRow", "digest_of", "is_within"]


class Role(IntEnum):
    """What a token allows; each role allows what those before it allow."""

    READER = 1
    RECORDER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret; it stays after its end, so that its id is never given again.

    Attributes:
        id: Its id, which is part of the token.
        name: The name for people. Tokens of one name are one writer, so that one replaces another.
        digest: The SHA-256 of the token.
        role: What it allows.
        prefixes: The names it allows that on, with everything below them; none means all names.
        created: When it was created, in microseconds since 1970, as the other times.
        expires: When it ends; None for never.
        revoked: When it was revoked; None if it was not.
    """

    id: str
    name: str
    digest: bytes
    role: Role
    prefixes: tuple[str, ...]
    created: int
    expires: int | None = None
    revoked: int | None = None

    def is_live(self, now: int) -> bool:
        """Returns whether the token is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def allows(self, experiment: str) -> bool:
        """Returns whether the token includes an experiment."""
        return not self.prefixes or any(is_within(experiment, each) for each in self.prefixes)


def is_within(name: str, prefix: str) -> bool:
    """Returns whether a name is a prefix of whole segments or below it: `team/a` in `team`."""
    return name == prefix or name.startswith(prefix + "/")


def digest_of(token: str) -> bytes:
    """Returns what is stored of a token. Its secret is long and random, so one hash is enough."""
    return hashlib.sha256(token.encode()).digest()
