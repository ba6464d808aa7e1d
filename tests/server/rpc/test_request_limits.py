"""Tests of the limits of request fields: the greatest valid value, and the error beyond it."""

import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.config_filter_pb2 import ConfigFilter, NumberRange
from podium.v1.recording_service_pb2 import StreamPosition
from podium.v1.value_pb2 import Value, ValueList
from podium_server.api.callers import CALLER, Caller
from podium_server.api.results import Results
from podium_server.api.tokens import new_row
from podium_server.store.contract import Store
from podium_server.store.open import open_store
from podium_server.store.tokens import Role
from podium_server.testing.calls import arm, declared, metrics, record

from tests.server.writes.ways import METHODS, Direct
from tests.stores import store_url

_LIMITS = Limits(map_keys=2, text_bytes=2_000, call_events=2)
_LONGEST = "n" * 1024
_FILTERS = ("ListArms", "Rank", "Scores")
_LISTS = (*_FILTERS, "ListEvals", "ListSeries", "ListExperiments", "ListMetrics", "ListTokens")
_ALL_STATUSES = [1, 2, 3]
Case = tuple[str, dict[str, Any], str]
"""A method, fields of its request, and the field that the error names; "" if there is no error."""


def _range(least: float | None, most: float | None) -> ConfigFilter:
    return ConfigFilter(path="seed", range=NumberRange(min=least, max=most))


def _equals(**kind: Any) -> ConfigFilter:
    return ConfigFilter(path="seed", equals=Value(**kind))


def _position(writer_id: str, first: int) -> dict[str, StreamPosition]:
    return {"position": StreamPosition(writer_id=writer_id, first_sequence=first)}


_ANY = _equals(int_value=1)
_EVENTS = {"events": [metrics({"loss": 1.0})] * 2}
_CASES: list[Case] = [
    *(
        case
        for method in (*_FILTERS, "Watch", "ListExperiments")
        for case in (
            (method, {"statuses": _ALL_STATUSES[:2]}, ""),
            (method, {"statuses": _ALL_STATUSES}, "statuses"),
            (method, {"statuses": [9]}, "statuses"),
            (method, {"name_prefix": "p" * 2_000}, ""),
            (method, {"name_prefix": "p" * 2_001}, "name_prefix"),
            (method, {"name_prefix": "\0"}, "name_prefix"),
        )
    ),
    *(
        case
        for method in (*_FILTERS, "ListExperiments")
        for case in (
            (method, {"tags": ["a", "b"]}, ""),
            (method, {"tags": ["a", "b", "c"]}, "tags"),
            (method, {"tags": [""]}, "tags"),
        )
    ),
    *(
        case
        for method in _FILTERS
        for case in (
            (method, {"config": [_ANY] * 100}, ""),
            (method, {"config": [_ANY] * 101}, "config"),
            (method, {"config": [_ANY, ConfigFilter(path="seed")]}, "config[1].condition"),
            (method, {"config": [_ANY, ConfigFilter(equals=_ANY.equals)]}, "config[1].path"),
            (method, {"config": [_equals(list_value=ValueList())]}, "config[0].equals"),
            (method, {"config": [_equals()]}, "config[0].equals"),
            (method, {"config": [_range(1, 1), _range(None, -1), _range(1, None)]}, ""),
            (method, {"config": [_range(-math.inf, math.inf), _range(None, None)]}, ""),
            (method, {"config": [_range(2, 1)]}, "config[0].range"),
            (method, {"config": [_range(math.nan, None)]}, "config[0].range"),
            (method, {"config": [_range(None, math.nan)]}, "config[0].range"),
        )
    ),
    *(
        case
        for method in _LISTS
        for case in (
            (method, {"page_size": 2**31 - 1}, ""),
            (method, {"page_size": -1}, "page_size"),
        )
    ),
    ("Eval", {"name": _LONGEST}, ""),
    ("Eval", {"name": f"{_LONGEST}n"}, "name"),
    ("ListEvals", {"name": _LONGEST}, ""),
    ("ListEvals", {"name": f"{_LONGEST}n"}, "name"),
    ("ListEvals", {"name": ""}, "name"),
    ("ListSeries", {"keys": ["a", "b"]}, ""),
    ("ListSeries", {"keys": ["a", "b", "c"]}, "keys"),
    ("ListSeries", {"keys": [""]}, "keys"),
    *(
        case
        for method, field in (("Score", "metric"), ("Rank", "metric"))
        for case in (
            (method, {field: f"{_LONGEST}.{_LONGEST}"}, ""),
            (method, {field: f"{_LONGEST}.{_LONGEST}n"}, field),
            (method, {field: ""}, field),
        )
    ),
    ("Scores", {"metrics": ["a", f"{_LONGEST}.{_LONGEST}"]}, ""),
    ("Scores", {"metrics": []}, "metrics"),
    ("Scores", {"metrics": ["a", "b", "c"]}, "metrics"),
    ("Scores", {"metrics": ["a", ""]}, "metrics"),
    ("Rank", {"direction": 3}, "direction"),
    ("Rank", {"min_members": 1}, "min_members"),
    ("Rank", {"min_members": -1, "by_group": True}, "min_members"),
    ("Rank", {"min_members": 2**31 - 1, "by_group": True}, ""),
    ("Watch", {"after_revision": 2**62}, ""),
    ("Watch", {"after_revision": 2**62 + 1}, "after_revision"),
    ("Watch", {"after_revision": -1}, "after_revision"),
    ("Watch", {"epoch": "e" * 2_000}, ""),
    ("Watch", {"epoch": "e" * 2_001}, "epoch"),
    ("Watch", {"series_keys": ["a", "b"], "with_series": True}, ""),
    ("Watch", {"series_keys": ["a", "b", "c"], "with_series": True}, "series_keys"),
    ("Watch", {"series_keys": ["a"]}, "series_keys"),
    ("Record", {"events": _EVENTS["events"] * 2}, "events"),
    ("Record", {"events": []}, "events"),
    ("Record", _EVENTS | _position("w", 1), ""),
    ("Record", _EVENTS | _position("w", 0), "position.first_sequence"),
    ("Record", _EVENTS | _position("w", 2**63 - 2), "position.first_sequence"),
    ("Record", _EVENTS | _position("", 1), "position.writer_id"),
    ("Record", _EVENTS | _position("w" * 257, 1), "position.writer_id"),
    ("DeleteArm", {"arm": _LONGEST, "allow_missing": True}, ""),
    ("DeleteArm", {"arm": f"{_LONGEST}n"}, "arm"),
    ("DeleteExperiment", {"experiment": _LONGEST, "allow_missing": True}, ""),
]
"""Values at each limit, and beyond it. The other fields of the requests are valid."""
_VALID: dict[str, Any] = {
    "experiment": "x",
    "arm": "a",
    "name": "val",
    "metric": "loss",
    "metrics": ["loss"],
}


def _request(method: str, fields: dict[str, Any]) -> Any:
    """Returns a request with these fields, and with valid values of other required fields."""
    message = GetMessageClass(METHODS[method].input_type)
    known = {field.name for field in message.DESCRIPTOR.fields}
    return message(**{name: value for name, value in _VALID.items() if name in known} | fields)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Yields a store with a running arm, and lets the caller manage tokens."""
    CALLER.set(Caller(new_row("admin", Role.ADMIN, (), None)[0]))
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    await store.transact(record(declared(success_metric="loss"), arm()))
    yield store
    await store.close()


async def _named(store: Store, method: str, fields: dict[str, Any]) -> str:
    """Makes a call. Returns the field that its error names, or "" if there is no error."""
    request = _request(method, fields)
    try:
        if method != "Watch":
            await Direct(store, _LIMITS).call(method, request)
        elif request.after_revision != 2**62:  # a watch waits for that revision
            async with aclosing(Results(store, _LIMITS).watch(request)) as responses:
                await anext(responses)
    except PodiumError as error:
        return str(error.metadata["field"])
    return ""


async def test_each_field_is_checked_at_its_limit(store: Store) -> None:
    """A value at the limit is accepted. The error of a value beyond it names the field."""
    found = [(method, fields, await _named(store, method, fields)) for method, fields, _ in _CASES]
    assert [case for case in found if case not in _CASES] == []


@pytest.mark.parametrize("field", ["experiment", "arm"])
async def test_each_name_is_checked(store: Store, field: str) -> None:
    """Each method with the name of an experiment or an arm rejects an invalid name."""
    wrong = {"experiment": "x//y", "arm": "a\n"}[field]
    fields = {name: METHODS[name].input_type.fields_by_name for name in METHODS}
    methods = [name for name in METHODS if field in fields[name]]
    assert len(methods) > 5
    given = {name: {field: wrong} | (_EVENTS if name == "Record" else {}) for name in methods}
    found = {name: await _named(store, name, given[name]) for name in methods}
    assert found == dict.fromkeys(methods, field)
