"""Valid requests for every rpc and every kind of event, with as many fields as possible."""

from functools import cache
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.server.writes.ways import METHODS

__all__ = ["good_requests"]

_VALUE = {
    "mapValue": {
        "entries": {
            "n": {"intValue": "4"},
            "l": {"listValue": {"values": [{"nullValue": None}, {"doubleValue": "NaN"}]}},
            "t": {"stringValue": "text"},
            "b": {"boolValue": True},
        }
    }
}
_ROW = {
    "name": "val",
    "benchmarkId": "b",
    "metrics": {"acc": 0.5, "x": "NaN"},
    "breakdowns": {"k": _VALUE},
    "evalSeconds": 1,
    "step": "3",
    "tags": ["t"],
}
_CONFIG = {
    "name": "r",
    "data": {
        "sourceKind": "hf",
        "datasetId": "1",
        "datasetName": "d",
        "path": "data/d",
        "hfDataset": "h",
        "hfSplit": "train",
        "rows": [_VALUE],
        "transforms": [_VALUE],
    },
    "model": {"name": "m", "loadCheckpointPath": "c", "rendererName": "r"},
    "algorithm": {"kind": "sft", "params": {"lr": {"doubleValue": 0.1}}},
    "backend": {"kind": "local", "params": {"k": _VALUE}},
    "eval": {"k": _VALUE},
    "validation": {"k": _VALUE},
    "seed": "0",
    "tags": ["t"],
    "extras": {"k": _VALUE},
}
_RUN_RESULT = {
    "runId": "r",
    "status": "ok",
    "metrics": {"loss": 1},
    "artifacts": {"log": "file.log"},
    "error": "e",
    "extras": {"k": _VALUE},
}
_ARM = {
    "name": "whole",
    "runConfig": _CONFIG,
    "status": "ARM_STATUS_FAILED",
    "metrics": {"loss": 1},
    "evals": [{**_ROW, "name": "test"}, {**_ROW, "modelRef": "m"}],
    "evalMetrics": {"acc": 0.5, "x": "NaN"},
    "evalBreakdowns": {"k": _VALUE},
    "runId": "r",
    "error": "e",
    "trainSeconds": 1,
    "evalSeconds": 1,
    "runResult": _RUN_RESULT,
    "groupId": "g",
    "groupName": "g",
}
_EVENTS: list[dict[str, Any]] = [
    {
        "experimentDeclared": {
            "hypothesis": "h",
            "successMetric": "val.acc",
            "parent": "p/q",
            "direction": "DIRECTION_MINIMIZE",
            "tags": ["t"],
            "metadata": {"k": _VALUE},
            "overwrite": True,
            "clearFields": ["conclusion"],
        }
    },
    {
        "armStarted": {
            "arm": "a",
            "runConfig": _CONFIG,
            "attempt": {"id": "A", "order": "1"},
            "groupId": "g",
            "groupName": "g",
            "runId": "r",
            "restart": True,
        }
    },
    {
        "metricsRecorded": {
            "arm": "a",
            "attemptId": "A",
            "metrics": {"loss": 0.5, "lr": 0.1},
            "step": "7",
        }
    },
    {"evalRecorded": {"arm": "a", "attemptId": "A", "evalResult": _ROW}},
    {
        "armFinished": {
            "arm": "a",
            "attemptId": "A",
            "status": "ARM_STATUS_COMPLETED",
            "error": "e",
            "trainSeconds": 1,
            "runResult": _RUN_RESULT,
        }
    },
    {"armRecorded": {"armResult": _ARM, "replace": True}},
    {"experimentConcluded": {"conclusion": "c"}},
    {"skipped": {}},
]
_RECORDS: list[dict[str, Any]] = [
    {"events": [{**event, "eventTime": "2026-01-02T03:04:05.000006Z"}]} for event in _EVENTS
]
_READS: list[tuple[str, dict[str, Any]]] = [
    ("DeleteArm", {"arm": "gone", "allowMissing": True}),
    ("DeleteExperiment", {"experiment": "gone", "allowMissing": True}),
    ("Eval", {"arm": "a", "name": "val", "step": "3"}),
    ("Score", {"arm": "a", "metric": "val.acc"}),
    ("GetArm", {"arm": "a"}),
    (
        "ListArms",
        {
            "pageSize": 1,
            "statuses": ["ARM_STATUS_COMPLETED"],
            "groupName": "g",
            "namePrefix": "a",
            "tags": ["t"],
            "config": [
                {"path": "eval.k", "equals": {"doubleValue": 0.1}},
                {"path": "seed", "range": {"min": 0, "max": 1}},
            ],
            "omitRunConfig": True,
        },
    ),
    ("ListArms", {"pageSize": 1}),
    ("ListEvals", {"arm": "a", "pageSize": 1, "name": "val", "minStep": "0", "maxStep": "9"}),
    ("ListEvals", {"arm": "a", "pageSize": 1}),
    (
        "ListSeries",
        {"arm": "a", "pageSize": 1, "keys": ["loss", "lr"], "minStep": "-9", "maxStep": "9"},
    ),
    ("ListSeries", {"arm": "a", "pageSize": 1}),
    ("GetExperiment", {}),
    (
        "Rank",
        {
            "pageSize": 1,
            "metric": "val.acc",
            "direction": "DIRECTION_MINIMIZE",
            "statuses": ["ARM_STATUS_COMPLETED", "ARM_STATUS_FAILED"],
        },
    ),
    (
        "Rank",
        {"pageSize": 1, "metric": "val.acc", "groupName": "g", "namePrefix": "a", "tags": ["t"]},
    ),
    ("ListMetrics", {"pageSize": 1}),
    ("GetServer", {}),
    ("WhoAmI", {}),
    (
        "CreateToken",
        {
            "name": "t",
            "role": "ROLE_READER",
            "prefixes": ["x"],
            "expireTime": "2999-01-01T00:00:00Z",
        },
    ),
    ("ListTokens", {"pageSize": 1}),
    ("RevokeToken", {"idOrName": "gone"}),
    ("Rank", {"pageSize": 1, "byGroup": True, "minMembers": 1}),
    ("Rank", {"pageSize": 1}),
    (
        "Scores",
        {
            "pageSize": 1,
            "metrics": ["val.acc", "loss"],
            "statuses": ["ARM_STATUS_COMPLETED"],
            "groupName": "g",
            "namePrefix": "a",
            "tags": ["t"],
        },
    ),
    ("Scores", {"pageSize": 1, "metrics": ["val.acc"]}),
    (
        "ListExperiments",
        {
            "pageSize": 1,
            "namePrefix": "x",
            "statuses": ["EXPERIMENT_STATUS_RUNNING"],
            "tags": ["t"],
        },
    ),
    ("ListExperiments", {"pageSize": 1}),
    (
        "Watch",
        {
            "afterRevision": "1",
            "epoch": "x",
            "statuses": ["ARM_STATUS_COMPLETED"],
            "groupName": "g",
            "namePrefix": "a",
            "withoutEvals": True,
        },
    ),
]


@cache
def good_requests() -> tuple[tuple[str, Message], ...]:
    """Returns valid requests with the names of their rpcs. Callers must not change them."""
    everything = {"events": [event for record in _RECORDS for event in record["events"]]}
    streamed = {"position": {"writerId": "w", "firstSequence": "1"}, "events": [{"skipped": {}}]}
    records = [("Record", body) for body in (*_RECORDS, everything, streamed)]
    return tuple((method, _request(method, body)) for method, body in records + _READS)


def _request(method: str, body: dict[str, Any]) -> Message:
    request = GetMessageClass(METHODS[method].input_type)()
    if "experiment" in request.DESCRIPTOR.fields_by_name:
        body = {"experiment": "x", **body}
    return ParseDict(body, request)
