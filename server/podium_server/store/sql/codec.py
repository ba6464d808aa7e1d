"""Converts rows of the store to rows of SQL tables, and back."""

import json
import struct
from collections.abc import Collection, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from podium._model.access import TokenLimits

from podium_server.store.rows import (
    ArmRow,
    EvalKey,
    EvalRow,
    ExperimentRow,
    Origin,
    ScoreRow,
    StreamRow,
    StreamState,
)
from podium_server.store.tokens import Role, TokenRow

__all__ = [
    "ARM_COLUMNS",
    "EVAL_COLUMNS",
    "EXPERIMENT_COLUMNS",
    "FIND_ARM",
    "FIND_CONTENT",
    "PUT_TOKEN",
    "REVOKE",
    "STREAM_COLUMNS",
    "TOKENS",
    "arm_from",
    "arm_values",
    "eval_from",
    "eval_values",
    "experiment_from",
    "experiment_values",
    "is_of_row",
    "key_from",
    "key_values",
    "listed_arm",
    "score_from",
    "score_values",
    "stream_from",
    "stream_values",
    "token_from",
    "token_values",
    "value_from",
    "values_from",
    "values_of",
]

_DOUBLE = struct.Struct("<d")
_INTEGER = struct.Struct("<q")

_ORIGINS = {int(origin): origin for origin in Origin}
_STREAM_STATES = {int(state): state for state in StreamState}
"""The stream states by number. A look-up takes a fifth of the time of calling the enum."""

STREAM_COLUMNS = "writer_id, last_sequence, subject, state, owner"
_EXPERIMENT_FIELDS = (
    "id",
    "name",
    "revision",
    "deletion",
    "next_ordinal",
    "created",
    "updated",
    "row_count",
)
_COUNTS = ("pending", "running", "completed", "failed", "cancelled")
EXPERIMENT_COLUMNS = ", ".join(("tags", "deleted", *_EXPERIMENT_FIELDS, *_COUNTS))
_ARM_FIELDS = tuple(f.name for f in fields(ArmRow) if f.name not in ("tags", "primary"))
ARM_COLUMNS = ", ".join(("tags", "primary_name", "primary_step", *_ARM_FIELDS))
EVAL_COLUMNS = "name, post, step, position, primary_class, model_ref, revision, stamp, content"

FIND_ARM = f"SELECT {ARM_COLUMNS} FROM arms WHERE experiment = ? AND name = ?"
FIND_CONTENT = "SELECT content FROM experiment_contents WHERE experiment = ?"

_COLUMNS_OF_TOKENS = "id, name, digest, role, prefixes, created, expires, revoked, limits"
TOKENS = f"SELECT {_COLUMNS_OF_TOKENS} FROM tokens ORDER BY created, id"
PUT_TOKEN = f"INSERT INTO tokens ({_COLUMNS_OF_TOKENS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
REVOKE = "UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL"

_experiment_fields = attrgetter(*_EXPERIMENT_FIELDS)
_arm_fields = attrgetter(*_ARM_FIELDS)


def experiment_values(row: ExperimentRow) -> tuple[Any, ...]:
    """Returns the values of an experiment in the order of its columns."""
    return (_tags_to(row.tags), int(row.deleted), *_experiment_fields(row), *row.counts[1:])


def experiment_from(values: Sequence[Any], content: bytes | None = None) -> ExperimentRow:
    """Builds an ExperimentRow from the values of its columns."""
    tags, deleted, *others = values
    row = ExperimentRow(*others[: len(_EXPERIMENT_FIELDS)])
    row.tags, row.deleted, row.content = _tags_from(tags), bool(deleted), content
    row.counts = (0, *others[len(_EXPERIMENT_FIELDS) :])
    return row


def arm_values(row: ArmRow) -> tuple[Any, ...]:
    """Returns the values of an arm in the order of its columns."""
    return (_tags_to(row.tags), *(row.primary or (None, None)), *_arm_fields(row))


def arm_from(values: Sequence[Any]) -> ArmRow:
    """Builds an ArmRow from the values of its columns."""
    tags, name, step, *others = values
    row = ArmRow(*others)
    row.tags, row.primary = _tags_from(tags), None if name is None else EvalKey(name, step)
    return row


def listed_arm(values: Sequence[Any]) -> ArmRow:
    """Builds an ArmRow that has only its ordinal, name, status, group and tags."""
    ordinal, name, status, group_name, tags = values
    return ArmRow(name, ordinal, status, group_name=group_name, tags=_tags_from(tags))


def key_values(key: EvalKey) -> tuple[str, int, int]:
    """Returns a key's column values: name, post and step (1 and 0 if post-training)."""
    return (key.name, 1, 0) if key.step is None else (key.name, 0, key.step)


def key_from(name: str, post: int, step: int) -> EvalKey:
    """Builds the identity of a row from the values of its columns."""
    return EvalKey(name, None if post else step)


def eval_values(row: EvalRow) -> tuple[Any, ...]:
    """Returns the values of an eval row in the order of its columns."""
    return (
        *key_values(row.key),
        row.position,
        row.primary_class,
        row.model_ref,
        row.revision,
        row.stamp,
        row.content,
    )


def eval_from(values: Sequence[Any]) -> EvalRow:
    """Builds an EvalRow from the values of its columns."""
    name, post, step, position, primary_class, model_ref, revision, stamp, content = values
    return EvalRow(
        key_from(name, post, step), position, primary_class, model_ref, revision, content, stamp
    )


def score_values(score: ScoreRow) -> tuple[int, int, int | None, str | None]:
    """Returns the values of a score in the order of its columns."""
    [bits] = values_of([score.value])
    return bits, int(score.origin), score.step, score.benchmark_id


def score_from(
    value: int, origin: int, step: int | None, benchmark_id: str | None = None
) -> ScoreRow:
    """Builds a ScoreRow from the values of its columns."""
    return ScoreRow(value_from(value), _ORIGINS[origin], step, benchmark_id)


def is_of_row(origin: int) -> bool:
    """Returns whether scores of an origin come from eval rows."""
    return origin <= Origin.IN_LOOP_EVAL


def values_of(doubles: Collection[float]) -> tuple[int, ...]:
    """Returns the 64 bits of each double as an integer. SQLite cannot store NaN and -0.0."""
    count = len(doubles)
    return struct.unpack(f"<{count}q", struct.pack(f"<{count}d", *doubles))


def value_from(bits: int) -> float:
    """Converts a 64-bit integer to the double with the same bits."""
    value: float = _DOUBLE.unpack(_INTEGER.pack(bits))[0]
    return value


def values_from(bits: Sequence[int | None]) -> list[float | None]:
    """Converts 64-bit integers to the doubles with the same bits. None stays None."""
    packed = struct.pack(f"<{len(bits)}q", *[each or 0 for each in bits])
    doubles = struct.unpack(f"<{len(bits)}d", packed)
    return [None if each is None else value for each, value in zip(bits, doubles, strict=True)]


def stream_from(values: Sequence[Any]) -> StreamRow:
    """Builds a StreamRow from the values of its columns."""
    writer_id, last_sequence, subject, state, owner = values
    return StreamRow(writer_id, last_sequence, subject, _STREAM_STATES[state], owner)


def stream_values(row: StreamRow) -> tuple[Any, ...]:
    """Returns the values of a stream in the order of its columns."""
    return row.writer_id, row.last_sequence, row.subject, int(row.state), row.owner


def token_from(values: Sequence[Any]) -> TokenRow:
    """Builds a TokenRow from the values of its columns."""
    key, name, digest, role, prefixes, created, expires, revoked, limits = values
    return TokenRow(
        key,
        name,
        digest,
        Role(role),
        tuple(json.loads(prefixes)),
        created,
        expires,
        revoked,
        TokenLimits(**json.loads(limits)),
    )


def token_values(row: TokenRow) -> tuple[Any, ...]:
    """Returns the values of a token in the order of its columns."""
    values = (row.id, row.name, row.digest, int(row.role), json.dumps(row.prefixes))
    return (*values, row.created, row.expires, row.revoked, json.dumps(row.limits.given()))


def _tags_to(tags: tuple[str, ...]) -> str:
    return json.dumps(tags) if tags else "[]"


def _tags_from(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text != "[]" else ()
