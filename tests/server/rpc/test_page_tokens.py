"""Tests of page tokens: only servers of the store can write them, and clients cannot read them."""

import base64
from copy import deepcopy
from typing import Any

import pytest
from podium.errors import InvalidArgumentError
from podium.v1.results_service_pb2 import (
    ListArmsRequest,
    ListEvalsRequest,
    ListExperimentsRequest,
    ListSeriesRequest,
)
from podium_server.api.pages import PageTokens

from tests.each import each

_TOKENS = PageTokens(b"k" * 32)
_QUERY = ListArmsRequest(experiment="x", name_prefix="a")


def _read(query: Any, token: str, start: Any) -> Any:
    """Reads a page token as part of a request. Returns the place where the page begins."""
    asked = deepcopy(query)
    asked.page_token = token
    return _TOKENS.read(asked, start)


@each("place", [0, 1, 41, 10**17])
def test_a_token_leads_back_to_its_place(place: int) -> None:
    """The next page begins where the page before it ended, even if its size differs."""
    token = _TOKENS.write(_QUERY, place)
    next_page = ListArmsRequest(experiment="x", name_prefix="a", page_size=7)
    assert _read(next_page, token, -1) == place


def test_a_place_can_be_a_name() -> None:
    """A page token can contain a name of any length and script. The last page has no token."""
    for name in ("a", "é" * 128, "x" * 300):
        assert _read(_QUERY, _TOKENS.write(_QUERY, name), "") == name
    assert _TOKENS.write(_QUERY, None) == ""
    assert _read(_QUERY, "", "") == ""


def test_a_token_of_another_query_is_rejected() -> None:
    """A token is rejected in a request of another rpc, or with other fields."""
    of_rows = _TOKENS.write(ListEvalsRequest(experiment="x", arm="a"), 1)
    with pytest.raises(InvalidArgumentError):
        _read(ListSeriesRequest(experiment="x", arm="a"), of_rows, -1)
    token = _TOKENS.write(_QUERY, 1)
    for other in (ListArmsRequest(experiment="x"), ListExperimentsRequest(name_prefix="a")):
        with pytest.raises(InvalidArgumentError):
            _read(other, token, -1)


def test_a_token_of_another_store_is_rejected() -> None:
    """A token that was written with the key of another store is rejected."""
    token = PageTokens(b"K" + b"k" * 31).write(_QUERY, 1)
    with pytest.raises(InvalidArgumentError) as raised:
        _read(_QUERY, token, -1)
    assert raised.value.reason == "PAGE_TOKEN_INVALID"


def test_the_place_in_a_token_cannot_be_read() -> None:
    """The bytes of a token contain no part of its place, be it a number or a name."""
    for place in ("123456789", "secret/name"):
        token = _TOKENS.write(_QUERY, place)
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        assert not any(place[at : at + 3].encode() in raw for at in range(len(place) - 2))


def test_a_changed_token_is_rejected() -> None:
    """A token is rejected if any of its bytes was changed."""
    token = _TOKENS.write(_QUERY, 1)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(InvalidArgumentError):
            _read(_QUERY, base64.urlsafe_b64encode(changed).decode().rstrip("="), -1)
