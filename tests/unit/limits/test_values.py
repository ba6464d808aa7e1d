"""Tests of the limits of names and of nested values."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from podium._limits.checks import check_name, check_values
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.value_pb2 import Value

from tests.each import each

_SMALL = Limits(name_bytes=4, map_keys=3, value_depth=2, value_nodes=4)
_ONE = {"intValue": "1"}


@pytest.mark.parametrize("used", [9, 4])
def test_names_are_known_for_their_limit(used: int) -> None:
    """A name that was accepted under one limit is checked again under a lower limit."""
    name = "x" * used
    check_name(name, "field", Limits(name_bytes=used))
    with pytest.raises(PodiumError, match=f"give 1 to {used - 1} bytes"):
        check_name(name, "field", Limits(name_bytes=used - 1))


def _value(*items: Any) -> dict[str, Any]:
    return {"listValue": {"values": list(items)}}


def _map(**entries: Any) -> dict[str, Any]:
    return {"mapValue": {"entries": entries}}


@each(
    ("values", "problem"),
    [
        ([_ONE] * 4, ""),
        ([_ONE] * 5, "has more than 4 values"),
        ([_value(_ONE, _ONE, _ONE)], ""),
        ([_value(_ONE, _ONE, _ONE, _ONE)], "has more than 4 values"),
        ([_value(_ONE, _ONE, _ONE), _ONE], "has more than 4 values"),
        ([_ONE, _value(_ONE, _ONE, _ONE)], "has more than 4 values"),
        ([_map(a=_ONE, b=_ONE, c=_ONE)], ""),
        ([_map(a=_ONE, b=_ONE), _map(a=_ONE)], "has more than 4 values"),
        ([_value(_value())], ""),
        ([_value(_value(_ONE))], "nested more than 2 levels deep"),
        ([_map(a=_map(a=_ONE))], "nested more than 2 levels deep"),
        ([_map(a={})], "whose kind is not set"),
        ([{"nullValue": None}], ""),
        ([{"doubleValue": "NaN"}, {"stringValue": ""}, {"boolValue": False}], ""),
    ],
)
def test_nested_values(values: list[dict[str, Any]], problem: str) -> None:
    """A value that is nested too deep is rejected, and so is a map with a value without a kind.

    Values inside other values count towards the limit on the number of values.
    """
    given = [ParseDict(value, Value()) for value in values]
    if not problem:
        check_values(given, "field", _SMALL)
        return
    with pytest.raises(PodiumError, match=problem) as raised:
        check_values(given, "field", _SMALL)
    assert raised.value.reason == "VALUE_INVALID"


@pytest.mark.parametrize(("count", "reason"), [(3, ""), (4, "LIMIT_EXCEEDED")])
def test_the_keys_of_a_nested_value(count: int, reason: str) -> None:
    """The limit of keys also applies to a map within a value."""
    limits = replace(_SMALL, value_nodes=10)
    given = ParseDict(_map(**dict.fromkeys("abcd"[:count], _ONE)), Value())
    found = ""
    try:
        check_values([given], "field", limits)
    except PodiumError as error:
        found = error.reason
    assert found == reason
