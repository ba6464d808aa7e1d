"""Tests of `plain_row_event`, the short way to make the event of an eval row.

It makes the event only if no value needs a conversion or a check. The long way converts the values
and checks the event.
"""

import math
from enum import StrEnum
from typing import Any

from podium import EvalResult, events
from podium._limits.event_checks import check_event
from podium._limits.limits import Limits
from podium._recorder.plain_rows import plain_row_event

from tests.each import each


class _Tag(StrEnum):
    VAL = "val"


def _long_way(name: str, metrics: Any, step: Any, tags: Any) -> Any:
    row = EvalResult(name, metrics=metrics, step=step, tags=tags)
    event = events.eval_recorded("a", row, attempt_id="first")
    check_event(event, Limits())
    return event


@each(
    ("metrics", "step", "tags"),
    [
        ({"acc": 0.5, "nan": math.nan, "zero": -0.0}, 7, ["val", "val"]),
        ({}, None, ()),
        ({"größe": math.inf}, -(2**63) + 1, ("val",)),
        ({"acc": 1e-310}, 2**63 - 1, []),
    ],
)
def test_a_plain_row_is_the_event_of_the_long_way(metrics: Any, step: Any, tags: Any) -> None:
    """Apart from its time, the event of a plain row has the same bytes as that of the long way."""
    expected = _long_way("val", metrics, step, tags)
    found = plain_row_event("a", "first", "val", metrics, step, tags)
    assert found is not None
    assert found.HasField("event_time")
    found.event_time.CopyFrom(expected.event_time)
    assert found.SerializeToString(deterministic=True) == expected.SerializeToString(
        deterministic=True
    )


@each(
    ("name", "metrics", "step", "tags"),
    [
        ("not seen before", {"acc": 0.5}, 1, ()),
        ("val", {"a key that was not seen before": 0.5}, 1, ()),
        ("val", {"acc": 0.5}, 1, ["a tag that was not seen before"]),
        ("val", {"acc": 0.5}, 1, [_Tag.VAL]),
        ("val", {"acc": 0.5}, 1, "val"),
        ("val", {"acc": 0.5}, 1, [["val"]]),
        ("val", {"acc": 1}, 1, ()),
        ("val", {"acc": True}, 1, ()),
        ("val", {"acc": "0.5"}, 1, ()),
        ("val", {"acc": 0.5}, True, ()),
        ("val", {"acc": 0.5}, 1.0, ()),
        ("val", {"acc": 0.5}, 2**63, ()),
        ("val", [("acc", 0.5)], 1, ()),
        ("val", {"acc": 0.5}, 1, ["val"] * 100),
        (None, {"acc": 0.5}, 1, ()),
    ],
)
def test_other_rows_take_the_long_way(name: Any, metrics: Any, step: Any, tags: Any) -> None:
    """The short way makes no event of a row with a value that must be converted or checked."""
    assert _long_way("val", {"acc": 0.5}, 1, ["val"])  # these names are accepted from now on
    assert plain_row_event("a", "first", name, metrics, step, tags) is None
