"""What becomes of eval rows: recorded one by one, or with their whole arm."""

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
    "check_mirror",
    "content_size",
    "first_of_each",
    "forget_outputs",
    "key_of",
    "read",
    "record",
    "replace_all",
]


def read(row: EvalResult, arm: str, attempt_id: str | None = None) -> ParsedRow:
    """Reads a row of an arm that says nothing of its output-only fields any more."""
    key = key_of(row)
    model_ref = row.model_ref if row.HasField("model_ref") else None
    primary_class = scoring.primary_class(key.step, row.tags, model_ref)
    return ParsedRow(arm, attempt_id, key, encode(row), primary_class, model_ref)


def key_of(row: EvalResult) -> EvalKey:
    """The identity of a row within its arm."""
    return EvalKey(row.name, row.step if row.HasField("step") else None)


def first_of_each(evals: list[EvalResult]) -> dict[EvalKey, EvalResult]:
    """The rows by identity: where one is repeated, the first counts."""
    rows: dict[EvalKey, EvalResult] = {}
    for row in evals:
        rows.setdefault(key_of(row), row)
    return rows


def record(arm: ArmState, row: ParsedRow, event_time: Timestamp | None) -> None:
    """Adds a row, or replaces the one of its identity, unless it is the same."""
    before = arm.find(row.key)
    if before is not None:
        _check_model_ref(arm, before, row)
        if before.content == row.content and _event_time(before) == event_time:
            return
    arm.write_row(row, event_time, before)


def replace_all(
    arm: ArmState, rows: dict[EvalKey, EvalResult], event_time: Timestamp | None
) -> None:
    """Makes the rows of the arm these, in this order; a row that stays keeps its place.

    A row may say when it was measured; the others take the time of the event.
    """
    before = {row.key: row for row in arm.stored_rows()}
    gone = [key for key in before if key not in rows]
    if gone:
        arm.remove_rows(gone)
    last = -1
    appended = arm.row.next_position
    for key, row in rows.items():
        old, parsed, own_time = before.get(key), read(_content(row), arm.row.name), _own_time(row)
        keeps_place = old is not None and last < old.position < appended
        position = old.position if old is not None and keeps_place else arm.row.next_position
        last = position
        stays = old is not None and keeps_place and old.content == parsed.content
        if not stays or own_time not in (None, _event_time(old)):
            arm.write_row(parsed, own_time or event_time, old, position)


def forget_outputs(row: EvalResult, *, keep_time: bool = False) -> None:
    """Clears the output-only fields of a row: in a request they say nothing.

    With its whole arm a row brings its own event_time, which an event has for a single one.
    """
    row.ClearField("revision")
    row.ClearField("record_time")
    if not keep_time:
        row.ClearField("event_time")


def content_size(row: EvalResult) -> int:
    """The bytes of a row of a whole arm as it is stored."""
    return _content(row).ByteSize()


def _content(row: EvalResult) -> EvalResult:
    """The row without its time, which is not part of what is compared."""
    if not row.HasField("event_time"):
        return row
    content = EvalResult()
    content.CopyFrom(row)
    content.ClearField("event_time")
    return content


def _own_time(row: EvalResult) -> Timestamp | None:
    return plain_time(row.event_time) if row.HasField("event_time") else None


def check_mirror(result: ArmResult, rows: dict[EvalKey, EvalResult]) -> None:
    """Refuses eval_metrics and eval_breakdowns that contradict the rows beside them."""
    if not rows:
        return
    primary = _primary(rows)
    if result.eval_metrics and not scoring.same_metrics(result.eval_metrics, primary.metrics):
        raise _contradiction("eval_metrics", "metrics")
    given, mirrored = ArmResult(), ArmResult()
    given.eval_breakdowns.MergeFrom(result.eval_breakdowns)
    mirrored.eval_breakdowns.MergeFrom(primary.breakdowns)
    if result.eval_breakdowns and encode(given) != encode(mirrored):
        raise _contradiction("eval_breakdowns", "breakdowns")


def _primary(rows: dict[EvalKey, EvalResult]) -> EvalResult:
    found = scoring.primary(map(eval_result_from_proto, rows.values()))
    return EvalResult() if found is None else rows[EvalKey(found.name, found.step)]


def _contradiction(field: str, source: str) -> Exception:
    return failure(
        "MIRROR_CONTRADICTS_EVALS",
        f"{field} differ from the {source} of the primary eval among evals; leave {field} empty",
        field=f"arm_result.{field}",
    )


def _event_time(row: EvalRow | None) -> Timestamp | None:
    if row is None:
        return None
    stamp = EvalResult.FromString(row.stamp)
    return stamp.event_time if stamp.HasField("event_time") else None


def _check_model_ref(arm: ArmState, before: EvalRow, row: ParsedRow) -> None:
    model_ref = row.model_ref
    if before.model_ref != model_ref:
        raise failure(
            "MODEL_REF_CHANGED",
            f"eval {row.key.name!r} of arm {arm.row.name!r} was recorded for "
            f"{_model(before.model_ref)} and now names {_model(model_ref)}; "
            "record another model's eval under another name",
            arm=arm.row.name,
            eval=row.key.name,
        )


def _model(model_ref: str | None) -> str:
    return "the arm's own model" if model_ref is None else f"model {model_ref!r}"
