"""The parts of statements that are written for PostgreSQL, and the translation of the others."""

import json
import re
from functools import lru_cache
from itertools import count

from podium_server.store.sql.dialect import Condition, ConfigValue, Dialect

__all__ = ["POSTGRES", "translated"]

_BINDING = re.compile(r"\?(\d*)")
_TEXTS = (
    # The words that tell SQLite in which order, or by which index, to read tables.
    ("CROSS JOIN", "JOIN"),
    (" INDEXED BY evals_by_position", ""),
    ("zeroblob(0)", "''::bytea"),
)


@lru_cache(1_000)
def translated(statement: str) -> str:
    """Returns a statement of `podium_server.store.sql`, translated for PostgreSQL."""
    for before, after in _TEXTS:
        statement = statement.replace(before, after)
    numbers = count(1)
    return _BINDING.sub(lambda found: f"${found[1] or next(numbers)}", statement)


def _number(condition: str) -> str:
    """Returns the condition that a value is a number for which `condition` holds.

    Other values are never cast to a number, because the cast would fail.
    """
    value = "CAST(CAST(v.value AS TEXT) AS NUMERIC)"
    passes = condition.format(value=value)
    return f"CASE WHEN json_typeof(v.value) = 'number' THEN {passes} ELSE FALSE END"


def _compared(value: ConfigValue) -> Condition:
    match value:
        case None:
            return "json_typeof(v.value) = 'null'", ()
        case bool():
            return "CAST(v.value AS TEXT) = ?", ("true" if value else "false",)
        case str():
            # The stored texts have escapes, such as that of NUL, which PostgreSQL cannot decode.
            return "CAST(v.value AS TEXT) = ?", (json.dumps(value),)
        case tuple():
            bound = "CAST(? AS DOUBLE PRECISION)"
            return _number(f"{{value}} BETWEEN {bound} AND {bound}"), value
        case int():
            return _number("{value} = CAST(? AS NUMERIC)"), (value,)
    return _number("{value} = CAST(? AS DOUBLE PRECISION)"), (value,)


POSTGRES = Dialect(
    has_tags=(
        "NOT EXISTS (SELECT 1 FROM json_array_elements_text(CAST(? AS JSON)) wanted(value) "
        "WHERE wanted.value NOT IN "
        "(SELECT had.value FROM json_array_elements_text(CAST(tags AS JSON)) had(value)))"
    ),
    has_value=(
        "EXISTS (SELECT 1 FROM arm_parts p, "
        "json_each(CAST(convert_from(p.content, 'UTF8') AS JSON)) v "
        "WHERE p.experiment = ? AND p.arm = ordinal AND p.part = 'values' AND v.key = ? "
        "AND {passes})"
    ),
    compared=_compared,
    score_column=(
        "SELECT s.arm, s.value FROM scores s WHERE s.experiment = ?1 AND s.arm IN "
        "(SELECT CAST(a.value AS BIGINT) FROM json_array_elements_text(CAST(?2 AS JSON)) a(value)) "
        "AND s.eval_name = ?3 AND s.key = ?4"
    ),
    pieces=(128, 1_024),
    identity="SELECT identity FROM store",
)
