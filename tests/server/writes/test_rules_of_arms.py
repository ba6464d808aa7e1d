"""Tests of changes of an arm that are rejected, and of what their errors say."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ArmResult, Attempt
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.run_config_pb2 import Component, DataConfig, ModelConfig, RunConfig
from podium.v1.value_pb2 import Value, ValueList
from podium_server.store.sqlite import SqliteStore
from podium_server.testing.calls import NOW, arm, declared, record, started
from podium_server.writes.attempts import check_order
from podium_server.writes.call import RecordCall
from podium_server.writes.encoding import encode
from podium_server.writes.rows import check_mirror
from podium_server.writes.run_config_changes import changed_paths

from tests.each import each

_ONE, _TWO = Value(int_value=1), Value(int_value=2)
_NAN = Value(double_value=float("nan"))
_RUNNING, _COMPLETED, _FAILED, _CANCELLED = range(2, 6)


@each(
    ("before", "after", "paths"),
    [
        ({"name": "a"}, {"name": "b"}, ["name"]),
        ({}, {"seed": 0}, ["seed"]),
        ({"seed": 1}, {"seed": 2, "name": "a"}, ["name", "seed"]),
        ({"data": DataConfig(), "algorithm": Component()}, {"model": ModelConfig()}, []),
        ({"data": DataConfig(path="")}, {"data": DataConfig()}, ["data.path"]),
        ({"data": DataConfig(rows=[_ONE])}, {}, ["data.rows"]),
        ({"data": DataConfig(rows=[_ONE])}, {"data": DataConfig(rows=[_ONE] * 2)}, ["data.rows"]),
        (
            {"data": DataConfig(transforms=[_ONE, _TWO])},
            {"data": DataConfig(transforms=[_TWO, _ONE])},
            ["data.transforms"],
        ),
        ({"data": DataConfig(rows=[_NAN])}, {"data": DataConfig(rows=[_NAN])}, []),
        ({"model": ModelConfig(name="a")}, {"model": ModelConfig(name="b")}, ["model.name"]),
        ({"model": ModelConfig(load_checkpoint_path="a")}, {}, []),
        ({"tags": ["a"], "extras": {"a": _ONE}}, {"tags": ["b"], "extras": {"a": _TWO}}, []),
        ({"eval": {"b": _ONE, "a": _ONE}}, {"eval": {"b": _TWO, "c": _ONE}}, ["a", "b", "c"]),
        ({"eval": {"a": Value(null_value=NULL_VALUE)}}, {}, ["a"]),
        ({"eval": {"a": _ONE}}, {"eval": {"a": Value(double_value=1)}}, ["a"]),
        ({"eval": {"a": _NAN}}, {"eval": {"a": _NAN}, "tags": ["a"]}, []),
        (
            {"eval": {"a": Value(list_value=ValueList())}},
            {"eval": {"a": Value(list_value=ValueList(values=[_ONE]))}},
            ["a"],
        ),
        (
            {"backend": Component(kind="a", params={"n": _ONE})},
            {"backend": Component(kind="a", params={"n": _TWO})},
            ["backend.params.n"],
        ),
    ],
)
def test_what_counts_as_another_configuration(
    before: dict[str, Any], after: dict[str, Any], paths: list[str]
) -> None:
    """Each changed field of a run_config is named once, in order.

    An empty message equals one that is not set. Checkpoint paths, tags and extras do not count.
    """
    expected = [path if "eval" not in before else f"eval.{path}" for path in paths]
    assert changed_paths(encode(RunConfig(**before)), RunConfig(**after)) == expected
    assert changed_paths(encode(RunConfig(**after)), RunConfig(**before)) == expected


@pytest.mark.parametrize(
    ("status", "mode", "way"),
    [
        (_RUNNING, {}, "Or end its running attempt with `podium finish --status failed`"),
        (_RUNNING, {"restart": True}, "Or end its running attempt"),
        (_COMPLETED, {"restart": True}, "Or delete the arm with `podium delete`"),
        (_COMPLETED, {"resume_step": 1}, "Or delete the arm with `podium delete`"),
        (_FAILED, {"resume_step": 1}, "Or start the arm from the beginning, without resume_step"),
        (_CANCELLED, {"resume_step": 1}, "Or start the arm from the beginning"),
        (_FAILED, {}, ""),
        (_CANCELLED, {"restart": True}, ""),
    ],
)
async def test_the_ways_to_record_another_configuration(
    tmp_path: Path, status: int, mode: dict[str, Any], way: str
) -> None:
    """A start with another run_config is rejected. The error says what the user can do instead.

    A failed or cancelled arm may have another run_config if it starts from the beginning.
    """
    store = SqliteStore(tmp_path / "podium.db")
    await store.open()
    try:
        await store.transact(record(declared(), arm("a", status=status)))
        event = started("a", "id", 1, **mode)
        event.arm_started.run_config.seed = 7
        if not way:
            await store.transact(record(event))
            return
        with pytest.raises(PodiumError) as raised:
            await store.transact(record(event))
        assert raised.value.reason == "RUN_CONFIG_CHANGED"
        assert way in str(raised.value)
        assert "in 1 field" in str(raised.value)
    finally:
        await store.close()


_TEST = EvalResult(name="test", metrics={"n": 1}, breakdowns={"k": _ONE, "m": _NAN})


@each(
    ("rows", "given", "field"),
    [
        ([_TEST], {}, ""),
        ([_TEST], {"eval_metrics": {"n": 1}, "eval_breakdowns": {"m": _NAN, "k": _ONE}}, ""),
        ([_TEST], {"eval_metrics": {"n": 2}}, "eval_metrics"),
        ([_TEST], {"eval_metrics": {"n": 1, "m": 1}}, "eval_metrics"),
        ([_TEST], {"eval_breakdowns": {"k": _ONE}}, "eval_breakdowns"),
        ([_TEST], {"eval_breakdowns": {"k": _TWO, "m": _NAN}}, "eval_breakdowns"),
        ([], {"eval_metrics": {"n": 2}, "eval_breakdowns": {"k": _TWO}}, ""),
        ([EvalResult(name="v", step=1)], {"eval_breakdowns": {"k": _TWO}}, "eval_breakdowns"),
    ],
)
def test_eval_metrics_must_equal_those_of_the_primary_eval(
    rows: list[EvalResult], given: dict[str, Any], field: str
) -> None:
    """An arm with evals is rejected if its eval_metrics differ from those of its primary eval.

    Empty eval_metrics are accepted. The same rules apply to eval_breakdowns.
    """
    result = ArmResult(evals=rows, **given)
    if not field:
        check_mirror(result)
        return
    with pytest.raises(PodiumError) as raised:
        check_mirror(result)
    assert raised.value.reason == "MIRROR_CONTRADICTS_EVALS"
    assert raised.value.metadata["field"] == f"arm_recorded.arm_result.{field}"


def test_the_order_of_an_attempt() -> None:
    """The order of an attempt is rejected if it is more than a day ahead of the server's clock."""
    now = 1_700_000_000_000_000
    day = 24 * 60 * 60 * 1_000
    for order in (0, 7, now // 1_000, now // 1_000 + day):
        check_order(Attempt(id="a", order=order), now)
    with pytest.raises(PodiumError, match="more than a day ahead") as raised:
        check_order(Attempt(id="a", order=now // 1_000 + day + 1), now)
    assert raised.value.reason == "FIELD_OUT_OF_RANGE"


@pytest.mark.parametrize(("later", "quiet"), [(5_500_000, 5.5), (0, 0.0), (-9_000_000, 0.0)])
async def test_an_attempt_that_is_replaced(tmp_path: Path, later: int, quiet: float) -> None:
    """The response names the replaced attempt, its host, and for how many seconds it was quiet.

    The seconds are 0 if the server's clock was set back.
    """
    store = SqliteStore(tmp_path / "podium.db")
    await store.open()
    try:
        first, second = (started("a", name, order) for order, name in enumerate("AB", 1))
        first.arm_started.provenance.host = "node7"
        await store.transact(record(declared(), first))
        call = RecordCall("x", [second], None, limits=Limits(), now=NOW + later, size=0)
        [replaced] = (await store.transact(call)).replaced_attempts
        assert (replaced.attempt.id, replaced.attempt.order, replaced.host) == ("A", 1, "node7")
        assert replaced.quiet_seconds == quiet
    finally:
        await store.close()
