"""Page tokens, and the sizes of pages.

A page token contains an encrypted place in a list, and a keyed digest of the place and the request.
So clients cannot read or forge a token, and cannot use a token for another request.
"""

import base64
import binascii
import hmac
from copy import deepcopy
from hashlib import blake2b, shake_256
from typing import Any, TypeVar

from google.protobuf.message import Message
from podium._limits.checks import check_range
from podium._limits.limits import Limits
from podium.errors import PodiumError

from podium_server.errors import failure
from podium_server.store.contract import PageLimits

__all__ = ["PageTokens", "matrix_limits", "page_limits", "series_limits"]

T = TypeVar("T", int, str)
_DIGEST_BYTES = 16
_DEFAULT_ROWS = 100
_MOST_ROWS = 2**31 - 1


def page_limits(page_size: int, limits: Limits) -> PageLimits:
    """Returns the limits of a page. A page_size of 0 means 100 rows.

    A page_size above the limit is lowered to the limit.
    """
    check_range(page_size, "page_size", 0, _MOST_ROWS)
    return PageLimits(min(page_size or _DEFAULT_ROWS, limits.page_rows), limits.page_bytes)


def matrix_limits(page_size: int, metrics: int, limits: Limits) -> PageLimits:
    """Returns the limits of a page of a score matrix.

    `metrics` is the number of columns. The more columns, the fewer rows a page has.
    """
    arms = min(page_limits(page_size, limits).rows, max(limits.page_scores // metrics, 1))
    return PageLimits(arms, limits.page_bytes // 2)  # the scores take the other half


def series_limits(page_size: int, limits: Limits) -> PageLimits:
    """Returns the limits of a page of a training series.

    `page_size` is a number of points. 0 means the most points that a page may have.
    """
    check_range(page_size, "page_size", 0, _MOST_ROWS)
    points = min(page_size or limits.page_scores, limits.page_scores)
    return PageLimits(points, limits.page_bytes)


class PageTokens:
    """Writes and reads page tokens, encrypted with a secret that the store keeps."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, query: Message, place: int | str | None) -> str:
        """Returns the token for the page that begins at `place`, or "" if the list has ended."""
        if place is None:
            return ""
        encoded = str(place).encode()
        digest = self._digest(query, encoded)
        token = digest + self._masked(digest, encoded)
        return base64.urlsafe_b64encode(token).rstrip(b"=").decode()

    def read(self, query: Any, start: T) -> T:
        """Returns the place in a request's page_token, or `start` if that token is empty.

        Raises:
            PodiumError: PAGE_TOKEN_INVALID if the token was not written for this request by a
                server of this store.
        """
        token: str = query.page_token
        if not token:
            return start
        raw = _decode(token)
        digest, masked = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        place = self._masked(digest, masked)
        if not hmac.compare_digest(digest, self._digest(query, place)):
            raise _bad_token()
        return type(start)(place.decode())

    def _masked(self, digest: bytes, place: bytes) -> bytes:
        """Encrypts or decrypts a place, because it may have numbers that clients must not see."""
        mask = shake_256(self._key + digest).digest(len(place))
        return bytes(a ^ b for a, b in zip(place, mask, strict=True))

    def _digest(self, query: Message, place: bytes) -> bytes:
        """Returns a digest of a place and of a request without page_token and page_size."""
        asked = deepcopy(query)
        asked.ClearField("page_token")
        asked.ClearField("page_size")
        content = asked.SerializeToString(deterministic=True)
        digest = blake2b(content, digest_size=_DIGEST_BYTES, key=self._key)
        digest.update(b"\0" + query.DESCRIPTOR.full_name.encode() + b"\0" + place)
        return digest.digest()


def _decode(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad_token() from error


def _bad_token() -> PodiumError:
    return failure(
        "PAGE_TOKEN_INVALID",
        "page_token does not belong to this request; send the next_page_token of the previous page "
        "with the same filters, or no page_token to begin again",
    )
