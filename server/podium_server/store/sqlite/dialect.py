"""The parts of statements that are written for SQLite."""

from podium_server.store.sql.dialect import Condition, ConfigValue, Dialect

__all__ = ["SQLITE"]

_IS_NUMBER = "v.type IN ('integer', 'real')"


def _compared(value: ConfigValue) -> Condition:
    match value:
        case None:
            return "v.type = 'null'", ()
        case bool():
            return "v.type = ?", ("true" if value else "false",)
        case str():
            return "v.type = 'text' AND v.value = ?", (value,)
        case tuple():
            return f"{_IS_NUMBER} AND v.value BETWEEN ? AND ?", value
    return f"{_IS_NUMBER} AND v.value = ?", (value,)


SQLITE = Dialect(
    has_tags=(
        "NOT EXISTS (SELECT 1 FROM json_each(?) wanted "
        "WHERE wanted.value NOT IN (SELECT value FROM json_each(tags)))"
    ),
    has_value=(
        "EXISTS (SELECT 1 FROM arm_parts p, json_each(CAST(p.content AS TEXT)) v WHERE "
        "p.experiment = ? AND p.arm = ordinal AND p.part = 'values' AND v.key = ? AND {passes})"
    ),
    compared=_compared,
    score_column=(
        "SELECT s.arm, s.value FROM json_each(?2) a CROSS JOIN scores s "
        "WHERE s.experiment = ?1 AND s.arm = a.value AND s.eval_name = ?3 AND s.key = ?4"
    ),
    pieces=(),
    identity="SELECT lower(hex(id)) FROM identity",
)
