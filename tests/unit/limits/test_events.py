"""Tests of the limits of every field of an event.

The cases have the greatest value that is accepted, and values that are rejected.
"""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from podium._limits import event_checks
from podium._limits.checks import check_names, is_time
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

from tests.each import each

_SMALL = Limits(name_bytes=4, map_keys=3, value_depth=2, value_nodes=4, text_bytes=5)
_MISSING, _RANGE, _LIMIT = "FIELD_MISSING", "FIELD_OUT_OF_RANGE", "LIMIT_EXCEEDED"
_NAME, _ENUM, _VALUE = "NAME_INVALID", "ENUM_INVALID", "VALUE_INVALID"
_ONE = {"intValue": "1"}
_FOUR = dict.fromkeys("abcd", _ONE)
_METRICS = dict.fromkeys("abcd", 1.0)
_TAGS = list("abcd")
_LONG, _NUL = "123456", "a\0"


def _event(kind: str, fields: dict[str, Any]) -> Event:
    return ParseDict({kind: fields}, Event())


def _refusal(event: Event, limits: Limits = _SMALL) -> tuple[str, str] | None:
    try:
        event_checks.check_event(event, limits)
    except PodiumError as error:
        return error.reason, error.metadata["field"]
    return None


_DECLARED: list[tuple[dict[str, Any], str, str]] = [
    ({"hypothesis": "12345", "metadata": {"a": _ONE}, "tags": ["abcd"], "parent": "a/b"}, "", ""),
    ({"hypothesis": _LONG}, _LIMIT, "hypothesis"),
    ({"hypothesis": _NUL}, _RANGE, "hypothesis"),
    ({"successMetric": "123456789"}, "", ""),
    ({"successMetric": "1234567890"}, _NAME, "success_metric"),
    ({"successMetric": ""}, _NAME, "success_metric"),
    ({"parent": "a//b"}, _NAME, "parent"),
    ({"parent": "a/.."}, _NAME, "parent"),
    ({"parent": ""}, _NAME, "parent"),
    ({"direction": 9}, _ENUM, "direction"),
    ({"tags": _TAGS}, _LIMIT, "tags"),
    ({"tags": ["12345"]}, _NAME, "tags"),
    ({"metadata": _FOUR}, _LIMIT, "metadata"),
    ({"metadata": {"12345": _ONE}}, _NAME, "metadata"),
    ({"clearFields": ["tags", "metadata.a.b", "conclusion"]}, "", ""),
    ({"clearFields": ["tags"] * 4}, _LIMIT, "clear_fields"),
    ({"clearFields": ["name"]}, _RANGE, "clear_fields"),
    ({"clearFields": ["metadata."]}, _RANGE, "clear_fields"),
    ({"clearFields": ["tags"], "tags": ["a"]}, _RANGE, "clear_fields"),
    ({"clearFields": ["metadata.a"], "metadata": {"a": _ONE}}, _RANGE, "clear_fields"),
    ({"clearFields": ["metadata.b"], "metadata": {"a": _ONE}}, "", ""),
]
_CONCLUDED: list[tuple[dict[str, Any], str, str]] = [
    ({"conclusion": "12345"}, "", ""),
    ({}, _MISSING, "conclusion"),
    ({"conclusion": _LONG}, _LIMIT, "conclusion"),
    ({"conclusion": _NUL}, _RANGE, "conclusion"),
]
_CONFIG = {"name": "r"}
_START = {"arm": "a", "runConfig": _CONFIG, "attempt": {"id": "a", "order": "0"}}


def _started(**fields: Any) -> dict[str, Any]:
    return _START | fields


def _config(**fields: Any) -> dict[str, Any]:
    return _started(runConfig=_CONFIG | fields)


_STARTED: list[tuple[dict[str, Any], str, str]] = [
    (_started(restart=True, groupName="abcd", provenance={"host": "12345"}), "", ""),
    (_started(resumeStep="-3"), "", ""),
    (_started(arm=""), _NAME, "arm"),
    ({"arm": "a", "attempt": {"id": "a", "order": "0"}}, _MISSING, "run_config"),
    (_started(runConfig={"seed": "1"}), _MISSING, "run_config.name"),
    ({"arm": "a", "runConfig": _CONFIG}, _MISSING, "attempt"),
    (_started(attempt={"order": "1"}), _NAME, "attempt.id"),
    (_started(attempt={"id": "a"}), _MISSING, "attempt.order"),
    (_started(restart=False), _MISSING, "restart"),
    (_started(runId=""), _NAME, "run_id"),
    (_started(groupId="12345"), _NAME, "group_id"),
    (_started(groupName="12345"), _NAME, "group_name"),
    (_started(provenance={"host": _LONG}), _LIMIT, "provenance.host"),
    (_started(provenance={"commandLine": _TAGS}), _LIMIT, "provenance.command_line"),
    (_started(provenance={"commandLine": ["a", _NUL]}), _RANGE, "provenance.command_line[1]"),
    (_started(provenance={"packages": {"12345": "1"}}), _NAME, "provenance.packages"),
    (_started(provenance={"packages": {"a": _LONG}}), _LIMIT, "provenance.packages['a']"),
    (_config(name=_LONG), _LIMIT, "run_config.name"),
    (_config(data={"path": _NUL}), _RANGE, "run_config.data.path"),
    (_config(data={"rows": [_ONE] * 5}), _VALUE, "run_config.data.rows"),
    (_config(data={"transforms": [{}]}), _VALUE, "run_config.data.transforms"),
    (_config(model={"rendererName": _LONG}), _LIMIT, "run_config.model.renderer_name"),
    (_config(algorithm={"kind": _LONG}), _LIMIT, "run_config.algorithm.kind"),
    (_config(algorithm={"params": _FOUR}), _LIMIT, "run_config.algorithm.params"),
    (_config(backend={"kind": _NUL}), _RANGE, "run_config.backend.kind"),
    (_config(eval={"a": {}}), _VALUE, "run_config.eval"),
    (_config(validation=_FOUR), _LIMIT, "run_config.validation"),
    (_config(extras={"": _ONE}), _NAME, "run_config.extras"),
    (_config(tags=_TAGS), _LIMIT, "run_config.tags"),
]
_METRICS_RECORDED: list[tuple[dict[str, Any], str, str]] = [
    ({"arm": "a", "metrics": {"a": 1}, "attemptId": "a"}, "", ""),
    ({"arm": "12345"}, _NAME, "arm"),
    ({"arm": "a", "attemptId": ""}, _NAME, "attempt_id"),
    ({"arm": "a", "metrics": _METRICS}, _LIMIT, "metrics"),
    ({"arm": "a", "metrics": {"a\n": 1}}, _NAME, "metrics"),
]


def _row(**fields: Any) -> dict[str, Any]:
    return {"arm": "a", "evalResult": {"name": "v", **fields}}


_EVAL_RECORDED: list[tuple[dict[str, Any], str, str]] = [
    (_row(metrics={"a": 1}, tags=["a"], evalSeconds=0.5, step="-1", modelRef="m"), "", ""),
    (_row() | {"arm": ""}, _NAME, "arm"),
    (_row() | {"attemptId": "12345"}, _NAME, "attempt_id"),
    ({"arm": "a"}, _MISSING, "eval_result"),
    (_row(name=""), _NAME, "eval_result.name"),
    (_row(metrics=_METRICS), _LIMIT, "eval_result.metrics"),
    (_row(evalSeconds=-0.5), _RANGE, "eval_result.eval_seconds"),
    (_row(evalSeconds="Infinity"), _RANGE, "eval_result.eval_seconds"),
    (_row(evalSeconds="NaN"), _RANGE, "eval_result.eval_seconds"),
    (_row(tags=_TAGS), _LIMIT, "eval_result.tags"),
    (_row(breakdowns={"a": {}}), _VALUE, "eval_result.breakdowns"),
    (_row(benchmarkId="12345"), _NAME, "eval_result.benchmark_id"),
    (_row(modelRef=""), _NAME, "eval_result.model_ref"),
]


def _finish(**fields: Any) -> dict[str, Any]:
    return {"arm": "a", "status": 3, **fields}


_FINISHED: list[tuple[dict[str, Any], str, str]] = [
    (_finish(trainSeconds=0, error=_LONG * 9, attemptId="a"), "", ""),
    *((_finish(status=status), "", "") for status in (4, 5)),
    *((_finish(status=status), _ENUM, "status") for status in (0, 1, 2, 6)),
    (_finish(arm=""), _NAME, "arm"),
    (_finish(attemptId=""), _NAME, "attempt_id"),
    (_finish(trainSeconds=-1), _RANGE, "train_seconds"),
    (_finish(trainSeconds="Infinity"), _RANGE, "train_seconds"),
    (_finish(runResult={"metrics": _METRICS}), "", ""),
    (_finish(runResult={"extras": {"a": {}}}), "", ""),
    (_finish(runResult={"status": _LONG}), "", ""),
    (_finish(runResult={"status": _NUL}), _RANGE, "run_result.status"),
    (_finish(runResult={"artifacts": {"a": _NUL}}), _RANGE, "run_result.artifacts['a']"),
    (_finish(runResult={"metrics": {"": 1}}), _NAME, "run_result.metrics"),
]


def _arm(**fields: Any) -> dict[str, Any]:
    return {"armResult": {"name": "a", "runConfig": _CONFIG, "status": 1, **fields}}


def _noted(**fields: Any) -> dict[str, Any]:
    return _arm(annotations=fields)


_ARM_RECORDED: list[tuple[dict[str, Any], str, str]] = [
    (_arm(metrics={"a": 1}, evals=[{"name": "v"}], trainSeconds=1, runResult={}), "", ""),
    ({}, _MISSING, ""),
    (_arm(name=""), _NAME, "name"),
    ({"armResult": {"name": "a", "status": 1}}, _MISSING, "run_config"),
    (_arm(runConfig={}), _MISSING, "run_config.name"),
    (_arm(status=0), _ENUM, "status"),
    (_arm(metrics=_METRICS), _LIMIT, "metrics"),
    (_arm(evalMetrics={"": 1}), _NAME, "eval_metrics"),
    (_arm(evalBreakdowns={"a": {}}), _VALUE, "eval_breakdowns"),
    (_arm(evals=[{"name": "v"}, {"name": ""}]), _NAME, "evals[1].name"),
    (
        _arm(evals=[{"name": "v", "eventTime": "1970-01-01T00:00:00Z"}, {"evalSeconds": -1}]),
        _NAME,
        "evals[1].name",
    ),
    (_arm(runId=""), _NAME, "run_id"),
    (_arm(groupId=""), _NAME, "group_id"),
    (_arm(groupName="12345"), _NAME, "group_name"),
    (_arm(trainSeconds=-1), _RANGE, "train_seconds"),
    (_arm(evalSeconds="NaN"), _RANGE, "eval_seconds"),
    (_arm(runResult={"metrics": _METRICS}), _LIMIT, "run_result.metrics"),
    (_arm(runResult={"runId": _LONG}), _LIMIT, "run_result.run_id"),
    (_arm(provenance={"host": _NUL}), _RANGE, "provenance.host"),
    (_noted(notes="12345", noGroup=True, addedTags=["a"], removedTags=["b"]), "", ""),
    (_noted(notes=""), _MISSING, "annotations.notes"),
    (_noted(notes=_LONG), _LIMIT, "annotations.notes"),
    (_noted(groupName=""), _NAME, "annotations.group_name"),
    (_noted(noGroup=False), _MISSING, "annotations.no_group"),
    (_noted(addedTags=_TAGS), _LIMIT, "annotations.added_tags"),
    (_noted(removedTags=[""]), _NAME, "annotations.removed_tags"),
    (_noted(addedTags=["a"], removedTags=["b", "a"]), _RANGE, "annotations.removed_tags"),
]
_ANNOTATED: list[tuple[dict[str, Any], str, str]] = [
    ({"arm": "a", "notes": "12345", "addTags": ["a"], "clearGroup": True}, "", ""),
    ({"arm": ""}, _NAME, "arm"),
    ({"arm": "a", "notes": ""}, _MISSING, "notes"),
    ({"arm": "a", "notes": _NUL}, _RANGE, "notes"),
    ({"arm": "a", "groupName": "12345"}, _NAME, "group_name"),
    ({"arm": "a", "clearNotes": False}, _MISSING, "clear_notes"),
    ({"arm": "a", "clearGroup": False}, _MISSING, "clear_group"),
    ({"arm": "a", "addTags": _TAGS}, _LIMIT, "add_tags"),
    ({"arm": "a", "removeTags": [""]}, _NAME, "remove_tags"),
    ({"arm": "a", "addTags": ["a"], "removeTags": ["a"]}, _RANGE, "remove_tags"),
]
_PLACES = {
    "experimentDeclared": ("experiment_declared", _DECLARED),
    "experimentConcluded": ("experiment_concluded", _CONCLUDED),
    "armStarted": ("arm_started", _STARTED),
    "metricsRecorded": ("metrics_recorded", _METRICS_RECORDED),
    "evalRecorded": ("eval_recorded", _EVAL_RECORDED),
    "armFinished": ("arm_finished", _FINISHED),
    "armRecorded": ("arm_recorded.arm_result", _ARM_RECORDED),
    "armAnnotated": ("arm_annotated", _ANNOTATED),
}


@each(
    ("kind", "fields", "reason", "path"),
    [
        (kind, fields, reason, f"{prefix}.{field}" if field else prefix)
        for kind, (prefix, cases) in _PLACES.items()
        for fields, reason, field in cases
    ],
)
def test_every_field_has_its_limit(
    kind: str, fields: dict[str, Any], reason: str, path: str
) -> None:
    """A field beyond its limit is rejected with a reason and the path of the field.

    A field at its limit is accepted.
    """
    event = _event(kind, fields)
    for _ in range(2):  # the second time, valid names are known
        assert _refusal(event) == ((reason, path) if reason else None)
    if reason == _LIMIT:
        assert _refusal(event, Limits()) is None


def test_an_event_without_a_kind() -> None:
    """An event without a kind is rejected.

    An event that only skips a sequence number is accepted.
    """
    assert _refusal(Event()) == (_MISSING, "kind")
    assert _refusal(_event("skipped", {})) is None


_TIMES = [
    (Timestamp(), True),
    (Timestamp(nanos=999_999_999), True),
    (Timestamp(nanos=1_000_000_000), False),
    (Timestamp(nanos=-1), False),
    (Timestamp(seconds=-62_135_596_800), True),
    (Timestamp(seconds=-62_135_596_801), False),
    (Timestamp(seconds=253_402_300_799, nanos=999_999_999), True),
    (Timestamp(seconds=253_402_300_800), False),
]


@each(("time", "is_valid"), _TIMES)
def test_times(time: Timestamp, *, is_valid: bool) -> None:
    """Times of the years 1 to 9999 are accepted, and other times are rejected.

    This applies to events, and to the rows of a whole arm.
    """
    assert is_time(time) is is_valid
    for kind, fields in (("evalRecorded", _row()), ("armRecorded", _arm(evals=[{"name": "v"}]))):
        event = _event(kind, fields)
        assert _refusal(event) is None
        event.event_time.CopyFrom(time)
        assert _refusal(event) == (None if is_valid else (_RANGE, "event_time"))
    event.ClearField("event_time")
    event.arm_recorded.arm_result.evals[0].event_time.CopyFrom(time)
    field = "arm_recorded.arm_result.evals[0].event_time"
    assert _refusal(event) == (None if is_valid else (_RANGE, field))


@each(
    ("fields", "is_plain"),
    [
        ({}, True),
        ({"metrics": {"k": 1}, "tags": ["t"], "step": "1", "evalSeconds": 1}, True),
        ({"metrics": {"new": 1}}, False),
        ({"metrics": {"k": 1}, "tags": ["t", "t", "t"]}, False),
        ({"evalSeconds": "Infinity"}, False),
        ({"evalSeconds": -1}, False),
        ({"breakdowns": {"k": _ONE}}, False),
        ({"benchmarkId": "k"}, False),
        ({"modelRef": "k"}, False),
    ],
)
def test_rows_that_need_no_check(fields: dict[str, Any], *, is_plain: bool) -> None:
    """The quick check accepts a row with few names, all of which have been checked before.

    It accepts no row with a breakdown, an unusual duration, a `benchmark_id` or a `model_ref`.
    """
    limits = replace(_SMALL, name_bytes=7, map_keys=5)
    check_names(["a", "v", "k", "t"], "names", limits)
    found = event_checks.plain_row(_event("evalRecorded", _row(**fields)), limits)
    assert (found is not None) is is_plain
    if found is not None:
        assert found[1:] == ("a", None, fields.get("tags", []))
    named = event_checks.plain_row(_event("evalRecorded", _row() | {"attemptId": "t"}), limits)
    assert named is not None
    assert named[2] == "t"


@pytest.mark.parametrize(("limit", "field"), [("row_bytes", ""), ("arm_bytes", "run_config")])
def test_sizes_in_bytes(limit: str, field: str) -> None:
    """A row or a run_config of exactly the allowed number of bytes is accepted.

    One more byte is rejected.
    """
    event = _event("evalRecorded", _row()) if not field else _event("armStarted", _START)
    sized = event.eval_recorded.eval_result if not field else event.arm_started.run_config
    assert _refusal(event, replace(_SMALL, **{limit: sized.ByteSize()})) is None
    path = "arm_started.run_config" if field else "eval_recorded.eval_result"
    assert _refusal(event, replace(_SMALL, **{limit: sized.ByteSize() - 1})) == (_LIMIT, path)


_WHOLE = _arm(
    metrics={"a": 1},
    evalMetrics={"a": 1},
    evals=[{"name": "v"}, {"name": "w", "metrics": {"a": 1, "b": 1}}],
    runResult={"metrics": {"a": 1}},
)
_COUNTED = [
    ("evalRecorded", _row(metrics={"a": 1, "b": 2}), 2),
    ("evalRecorded", _row(), 0),
    ("metricsRecorded", {"arm": "a", "metrics": {"a": 1}}, 1),
    ("armRecorded", _WHOLE, 6),
    ("armFinished", _finish(runResult={"metrics": {"a": 1, "b": 1}}), 2),
    ("armStarted", _START, 0),
]


@each(("kind", "fields", "count"), _COUNTED)
def test_how_metric_values_are_counted(kind: str, fields: dict[str, Any], count: int) -> None:
    """The metric values of all parts of an event are counted.

    A row without metrics, in a whole arm, counts as one value.
    """
    assert event_checks.metric_count(_event(kind, fields)) == count


def test_the_metric_values_of_a_call() -> None:
    """A call with too many metric values is rejected.

    The values of a call of few bytes are not counted. A call that only ends an arm is always
    accepted.
    """
    row = _event("metricsRecorded", {"arm": "a", "metrics": {"a": 1}})
    end = _event("armFinished", _finish(runResult={"metrics": _METRICS}))
    limits = replace(_SMALL, call_metrics=3)
    for events, size in (([row] * 3, 99), ([end], 99), ([row] * 4, 21), ([], 99)):
        event_checks.check_metric_count(events, size, limits)
    for events in ([row] * 4, [end, row], [row, end]):
        with pytest.raises(PodiumError, match="at most 3 are allowed") as raised:
            event_checks.check_metric_count(events, 22, limits)
        assert raised.value.reason == _LIMIT


@each(
    ("result", "is_too_large"),
    [
        ({"metrics": _METRICS}, True),
        ({"extras": {"a": {}}}, True),
        ({"status": _LONG}, True),
        ({"error": "x" * 100}, False),
        ({"artifacts": {"": "a"}}, False),
        ({}, False),
    ],
)
def test_results_that_are_left_out(result: dict[str, Any], *, is_too_large: bool) -> None:
    """A run_result counts as too large if it exceeds a limit or contains a value without a kind.

    The size of its `error` does not count.
    """
    event = _event("armFinished", _finish(runResult=result))
    limits = replace(_SMALL, arm_bytes=60)
    assert event_checks.is_too_large(event.arm_finished.run_result, limits) is is_too_large
