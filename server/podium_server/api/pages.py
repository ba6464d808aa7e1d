"""Page tokens and sizes of lists.

A token is opaque. It holds a place, and a digest of the place and of the request. The digest shows
whether the token is damaged, or belongs to another request.
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

__all__ = [
    "bad_token",
    "matrix_limits",
    "page_limits",
    "read_token",
    "series_limits",
    "write_token",
]

_DIGEST_BYTES = 8
_MOST_DIGITS = 20
_LAST_PLACE = 2**63 - 1
_DEFAULT_ROWS = 100
_MOST_ROWS = 2**31 - 1


def page_limits(page_size: int, limits: Limits) -> PageLimits:
    """Returns the limits of a page. A page_size of 0 means 100 rows; larger ones are capped."""
    check_range(page_size, "page_size", 0, _MOST_ROWS)
    return PageLimits(min(page_size or _DEFAULT_ROWS, limits.page_rows), limits.page_bytes)


def matrix_limits(page_size: int, metrics: int, limits: Limits) -> PageLimits:
    """Returns the limits of a page of a matrix. They also limit the number of scores."""
    arms = min(page_limits(page_size, limits).rows, max(limits.page_scores // metrics, 1))
    return PageLimits(arms, limits.page_bytes // 2)  # the scores take the other half


def series_limits(page_size: int, limits: Limits) -> PageLimits:
    """Returns the limits of a page of a training series. Its size counts points."""
    check_range(page_size, "page_size", 0, _MOST_ROWS)
    points = min(page_size or limits.page_scores, limits.page_scores)
    return PageLimits(points, limits.page_bytes)


def write_token(query: Message, place: int | str | None) -> str:
    """Returns the token that continues a query at a place. It is empty at the end of the list."""
    if place is None:
        return ""
    encoded = str(place).encode()
    token = _digest(query, encoded) + encoded
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def read_token(query: Message, token: str, start: int | str) -> int | str:
    """Returns the place of a token, or `start` without a token.

    Raises:
        PodiumError: PAGE_TOKEN_INVALID if the token is damaged, or belongs to another query.
    """
    if not token:
        return start
    raw = _decode(token)
    place = raw[_DIGEST_BYTES:]
    if raw[:_DIGEST_BYTES] != _digest(query, place):
        raise bad_token()
    return _number(place, start) if isinstance(start, int) else place.decode(errors="replace")


def _number(place: bytes, start: int) -> int:
    if not (place.removeprefix(b"-").isdigit() and len(place) <= _MOST_DIGITS):
        raise bad_token()
    number = int(place)
    if not start < number <= _LAST_PLACE:
        raise bad_token()
    return number


def _decode(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_token() from error


def _digest(query: Message, place: bytes) -> bytes:
    """Returns a digest of a place and a request, except for its page_token and page_size."""
    asked = type(query)()
    asked.CopyFrom(query)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    digest = blake2b(asked.SerializeToString(deterministic=True), digest_size=_DIGEST_BYTES)
    digest.update(b"\0" + query.DESCRIPTOR.full_name.encode() + b"\0" + place)
    return digest.digest()


def bad_token() -> PodiumError:
    """Returns the error of a page token that is damaged or belongs to another query."""
    return failure(
        "PAGE_TOKEN_INVALID",
        "page_token does not belong to this request; send the next_page_token of the previous page "
        "with the same filters, or no page_token to begin again",
    )
