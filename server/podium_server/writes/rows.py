"""Records eval rows, one by one or with their whole arm."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from podium import scoring
from podium._wire.codec import eval_result_from_proto
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult

from podium_server.errors import failure
from podium_server.store.rows import EvalKey, EvalRow
from podium_server.writes.encoding import encode, plain_time
from podium_server.writes.state import ArmState, ParsedRow

__all__ = [
    "WholeRow",
    "check_mirror",
    "check_model_refs",
    "clear_outputs",
    "key_of",
    "read",
    "read_all",
    "read_plain",
    "record",
    "replace_all",
]


def read(row: EvalResult, arm: str, attempt_id: str | None = None) -> ParsedRow:
    """Parses a row. Its output-only fields must have been cleared."""
    key = key_of(row)
    model_ref = row.model_ref if row.HasField("model_ref") else None
    primary_class = scoring.primary_class(key.step, row.tags, model_ref)
    return ParsedRow(arm, attempt_id, key, encode(row), primary_class, model_ref)


def read_plain(
    row: EvalResult, arm: str, attempt_id: str | None, tags: Collection[str]
) -> ParsedRow:
    """Parses a row of the arm's own model, and clears its output-only fields."""
    if row.revision or row.HasField("record_time") or row.HasField("event_time"):
        clear_outputs(row)
    key = key_of(row)
    primary_class = scoring.primary_class(key.step, tags, None)
    return ParsedRow(arm, attempt_id, key, encode(row), primary_class, None)


def key_of(row: EvalResult) -> EvalKey:
    """Returns the identity of a row within its arm."""
    return EvalKey(row.name, row.step if row.HasField("step") else None)


class WholeRow(NamedTuple):
    """A row of a whole arm, with its own event_time. Comparisons ignore that time."""

    parsed: ParsedRow
    event_time: Timestamp | None


def read_all(arm: ArmResult) -> dict[EvalKey, WholeRow]:
    """Returns the rows of a whole arm by identity.

    If several rows have the same identity, the first one is used.
    """
    rows: dict[EvalKey, WholeRow] = {}
    for row in arm.evals:
        if key_of(row) not in rows:
            rows[key_of(row)] = WholeRow(read(_content(row), arm.name), _own_time(row))
    return rows


def record(arm: ArmState, row: ParsedRow, event_time: Timestamp | None) -> None:
    """Adds a row, or replaces the row with the same identity. An equal row changes nothing."""
    before = arm.find(row.key)
    if before is not None:
        _check_model_ref(arm, before, row.model_ref)
        if before.content == row.content and _event_time(before) == event_time:
            return
    arm.write_row(row, event_time, before)


def replace_all(
    arm: ArmState, rows: Mapping[EvalKey, WholeRow], event_time: Timestamp | None
) -> None:
    """Replaces the arm's rows by `rows`, in their order.

    A stored row keeps its position if that fits the order. A row without an event_time gets the
    event_time of the event.
    """
    before = {row.key: row for row in arm.stored_rows()}
    gone = [key for key in before if key not in rows]
    if gone:
        arm.remove_rows(gone)
    last = -1
    appended = arm.row.next_position
    for key, (parsed, own_time) in rows.items():
        old = before.get(key)
        keeps_place = old is not None and last < old.position < appended
        position = old.position if old is not None and keeps_place else arm.row.next_position
        last = position
        stays = old is not None and keeps_place and old.content == parsed.content
        if not stays or own_time not in (None, _event_time(old)):
            arm.write_row(parsed, own_time or event_time, old, position)


def clear_outputs(row: EvalResult, *, keep_time: bool = False) -> None:
    """Clears the fields of a row that only the server may set.

    With `keep_time`, keeps the event_time, because rows of a whole arm have their own.
    """
    row.ClearField("revision")
    row.ClearField("record_time")
    if not keep_time:
        row.ClearField("event_time")


def _content(row: EvalResult) -> EvalResult:
    """Returns the row without its time, since comparisons ignore the time."""
    if not row.HasField("event_time"):
        return row
    content = EvalResult()
    content.CopyFrom(row)
    content.ClearField("event_time")
    return content


def _own_time(row: EvalResult) -> Timestamp | None:
    return plain_time(row.event_time) if row.HasField("event_time") else None


def check_mirror(result: ArmResult) -> None:
    """Raises an error if eval_metrics or eval_breakdowns differ from those of the primary eval."""
    if not (result.evals and (result.eval_metrics or result.eval_breakdowns)):
        return
    primary = _primary(result.evals)
    if result.eval_metrics and not scoring.same_metrics(result.eval_metrics, primary.metrics):
        raise _contradiction("eval_metrics", "metrics")
    given, mirrored = ArmResult(), ArmResult()
    given.eval_breakdowns.MergeFrom(result.eval_breakdowns)
    mirrored.eval_breakdowns.MergeFrom(primary.breakdowns)
    if result.eval_breakdowns and encode(given) != encode(mirrored):
        raise _contradiction("eval_breakdowns", "breakdowns")


def check_model_refs(arm: ArmState, rows: Mapping[EvalKey, WholeRow]) -> None:
    """Raises MODEL_REF_CHANGED if a row would change the model_ref of a recorded row."""
    for before in arm.stored_rows():
        row = rows.get(before.key)
        if row is not None:
            _check_model_ref(arm, before, row.parsed.model_ref)


def _primary(rows: Sequence[EvalResult]) -> EvalResult:
    by_key: dict[EvalKey, EvalResult] = {}
    for row in rows:
        by_key.setdefault(key_of(row), row)
    found = scoring.primary(map(eval_result_from_proto, by_key.values()))
    return EvalResult() if found is None else by_key[EvalKey(found.name, found.step)]


def _contradiction(field: str, source: str) -> Exception:
    return failure(
        "MIRROR_CONTRADICTS_EVALS",
        f"{field} of the arm differ from the {source} of the primary eval among its evals; "
        f"leave {field} empty: the server takes them from that eval",
        field=f"arm_recorded.arm_result.{field}",
    )


def _event_time(row: EvalRow | None) -> Timestamp | None:
    if row is None:
        return None
    stamp = EvalResult.FromString(row.stamp)
    return stamp.event_time if stamp.HasField("event_time") else None


def _check_model_ref(arm: ArmState, before: EvalRow, model_ref: str | None) -> None:
    if before.model_ref != model_ref:
        raise failure(
            "MODEL_REF_CHANGED",
            f"eval {before.key.name!r} of arm {arm.row.name!r} "
            f"was recorded for {_model(before.model_ref)}, "
            f"and is now recorded for {_model(model_ref)}; "
            "record the eval of another model under another name",
            arm=arm.row.name,
            eval=before.key.name,
        )


def _model(model_ref: str | None) -> str:
    return "the arm's own model" if model_ref is None else f"model {model_ref!r}"
