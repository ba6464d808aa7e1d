"""The form of access tokens: `pdm_<id>_<secret><checksum>`.

Scanners find tokens in files by the prefix. The checksum shows, without asking a server, that a
token was mistyped or cut off. No error text of this module contains a part of a token.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from typing import NamedTuple

__all__ = ["NewToken", "ids_for_tokens", "new_token", "token_id"]

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_SIZE, _SECRET_SIZE, _CHECKSUM_SIZE = 10, 30, 6
"""The number of characters of each part. The 30 characters of a secret are 178 random bits."""
_TOKEN = re.compile(
    rf"(pdm_([0-9A-Za-z]{{{_ID_SIZE}}})_[0-9A-Za-z]{{{_SECRET_SIZE}}})"
    rf"([0-9A-Za-z]{{{_CHECKSUM_SIZE}}})"
)


_SECRET = re.compile(rf"pdm_([0-9A-Za-z]{{{_ID_SIZE}}})_[0-9A-Za-z]+")


class NewToken(NamedTuple):
    """A token, and its public id."""

    id: str
    text: str


def new_token() -> NewToken:
    """Returns a random token."""
    name = _random(_ID_SIZE)
    body = f"pdm_{name}_{_random(_SECRET_SIZE)}"
    return NewToken(name, body + _checksum(body))


def token_id(text: str) -> str:
    """Returns the id in a token. Raises a ValueError if the text is not a token."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise ValueError(
            "the token is malformed: it must have the form pdm_ID_SECRET, "
            "as `podium token create` prints it"
        )
    if _checksum(found[1]) != found[3]:
        raise ValueError("the token has a wrong checksum, so it was mistyped or changed")
    return found[2]


def ids_for_tokens(text: str) -> str:
    """Returns a text with each token in it replaced by its id, so that nobody can use the token."""
    return _SECRET.sub(r"\1", text)


def _random(size: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(size))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), []
    for _ in range(_CHECKSUM_SIZE):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
