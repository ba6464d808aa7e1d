"""Page tokens and sizes of lists.

A token is opaque: where to go on, and a digest of that and of the request that it belongs to,
so that one that is damaged, or another query's, is noticed.
"""

import base64
import binascii
from hashlib import blake2b

from google.protobuf.message import Message
from podium._limits.checks import check_range
from podium._limits.limits import Limits
from podium.errors import PodiumError

from podium_server.errors import failure
from podium_server.store.contract import PageLimits

__all__ = ["bad_token", "matrix_limits", "page_limits", "read_token", "write_token"]

_DIGEST_BYTES = 8
_MOST_DIGITS = 19
_DEFAULT_ROWS = 100
_MOST_ROWS = 2**31 - 1


def page_limits(page_size: int, limits: Limits) -> PageLimits:
    """How much the page of a request holds: 0 rows stands for 100, too many for the most."""
    check_range(page_size, "page_size", 0, _MOST_ROWS)
    return PageLimits(min(page_size or _DEFAULT_ROWS, limits.page_rows), limits.page_bytes)


def matrix_limits(page_size: int, metrics: int, limits: Limits) -> PageLimits:
    """How many arms the page of a matrix holds, whose size is counted in scores; one at least."""
    check_range(page_size, "page_size", 0, _MOST_ROWS)
    scores = min(page_size or limits.page_scores, limits.page_scores)
    size = limits.page_bytes // 2  # the other half is for the scores
    return PageLimits(max(scores // metrics, 1), size)


def write_token(query: Message, place: int | str | None) -> str:
    """The token to go on with a query at a place; empty at the end."""
    if place is None:
        return ""
    encoded = str(place).encode()
    token = _digest(query, encoded) + encoded
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def read_token(query: Message, token: str, start: int | str) -> int | str:
    """The place that a token stands for; `start` where there is no token."""
    if not token:
        return start
    raw = _decode(token)
    place = raw[_DIGEST_BYTES:]
    if raw[:_DIGEST_BYTES] != _digest(query, place):
        raise bad_token()
    return _number(place) if isinstance(start, int) else place.decode(errors="replace")


def _number(place: bytes) -> int:
    if not (place.isdigit() and len(place) < _MOST_DIGITS):
        raise bad_token()
    return int(place)


def _decode(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_token() from error


def _digest(query: Message, place: bytes) -> bytes:
    """What a query asks for, whatever the page and its size, and where it goes on."""
    asked = type(query)()
    asked.CopyFrom(query)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    digest = blake2b(asked.SerializeToString(deterministic=True), digest_size=_DIGEST_BYTES)
    digest.update(b"\0" + query.DESCRIPTOR.full_name.encode() + b"\0" + place)
    return digest.digest()


def bad_token() -> PodiumError:
    """A page token is damaged, or another query's."""
    return failure(
        "PAGE_TOKEN_INVALID",
        "page_token was not made by this request; send the next_page_token of the page before, "
        "with all filters as they were, or none to begin again",
    )
