"""Tests that the statements of the PostgreSQL store run on other engines with its protocol.

Such engines are Citus, YugabyteDB and CockroachDB. They lack some features of PostgreSQL. They
distribute rows by the id of the experiment, so a statement without this id is slow.
"""

import asyncio
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlglot
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import (
    ArmFilter,
    ConfigCondition,
    EvalFilter,
    ExperimentFilter,
    SeriesFilter,
)
from podium_server.store.open import migrate_store
from podium_server.store.postgres import schema
from podium_server.store.postgres.connection import PooledConnection
from podium_server.store.postgres.names import experiment_id
from podium_server.store.ranking_queries import RankQuery
from sqlglot import expressions as sql

from tests.server.store.places import new_place, opened
from tests.server.store.test_derived import follow
from tests.server.writes.naive_state import Experiment
from tests.server.writes.random_calls import random_call
from tests.server.writes.ways import Direct

_PAGE = PageLimits(100, 2**21)
_SESSION = ("SET statement_timeout", "RESET statement_timeout")
_OF_ALL = {"store", "tokens"}
"""The small tables of which every node of the database has a full copy."""
_DISTRIBUTED = {
    "arm_parts", "arms", "evals", "experiment_contents", "experiments", "point_keys", "points",
    "rank_changes", "rank_counts", "ranks", "removals", "scores", "streams",
}  # fmt: skip
_KEYS = {"experiments": {"id", "name"}}
"""The columns by which the rows of a table are found, if they are not found by `experiment`."""
_TYPES = {"BIGINT", "TEXT", "BYTEA", "VARBINARY", "TIMESTAMPTZ"}
_FORBIDDEN_WORDS = (
    "advisory", "listen ", "notify", "nextval", "serial", "trigger", "extension", "temp ",
    "for update", "lock table", "ctid", "enum", "generated", "references", "savepoint",
)  # fmt: skip
_FUNCTIONS = {
    "array_agg", "coalesce", "convert_from", "count", "current_database", "current_schema",
    "current_timestamp", "json_array_elements_text", "json_each", "json_typeof", "length", "nullif",
    "substr", "sum", "unnest",
}  # fmt: skip
"""The functions that all of these engines have."""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Returns a set, to which each SQL statement is added that a store runs from now on."""
    seen: set[str] = set()
    for name in ("cursor", "execute", "executemany", "fetch", "fetchrow", "fetchval"):
        method = getattr(PooledConnection, name)

        def noting(self: Any, text: str, *rest: Any, _method: Any = method, **named: Any) -> Any:
            seen.add(text)
            return _method(self, text, *rest, **named)

        monkeypatch.setattr(PooledConnection, name, noting)
    return seen


async def test_statements(tmp_path: Path, statements: set[str]) -> None:
    """Random calls, all reads, and a copy to another store run portable statements only."""
    rng, model = Random(1), Experiment()  # noqa: S311 - the same calls every time
    place, other = new_place(tmp_path), new_place(tmp_path / "other")
    async with opened(place) as opened_store:
        way = Direct(opened_store, Limits())
        for _ in range(250):
            request = random_call(rng, model, "x")
            try:
                await way.call(type(request).__name__.removesuffix("Request"), request)
            except PodiumError:
                continue
            follow(model, request)
        await _read_all(opened_store)
    await asyncio.to_thread(migrate_store, place.url, other.url, print)
    assert len(statements) > 60
    for text in statements:
        _check(text)


def test_tables() -> None:
    """Each large table has a key that begins with the experiment.

    All columns have types that all engines have.
    """
    created = set()
    for text in (schema._STORE, *(text for step in schema.MIGRATIONS for text in step)):
        _check_words(text)
        statement = sqlglot.parse_one(_without_options(text), dialect="postgres")
        if isinstance(statement, sql.Alter | sql.Update):
            continue
        assert isinstance(statement, sql.Create)
        if statement.kind == "TABLE":
            created.add(_check_table(statement))
        else:
            columns = statement.find(sql.Index).args["params"].args["columns"]  # type: ignore[union-attr]
            assert columns[0].name in {"experiment", "name"}, text
    assert len(created) == 15


def test_statements_that_other_engines_lack_are_rejected() -> None:
    """The check rejects statements and tables that other engines lack or handle slowly."""
    for text in (
        "SELECT pg_advisory_lock(1)",
        "LISTEN changes",
        "SELECT * FROM arms WHERE name = $1",
        "SELECT * FROM arms WHERE experiment = $1 FOR UPDATE",
        "DELETE FROM evals WHERE arm = $1",
        "SELECT gen_random_uuid()",
        "WITH a AS (DELETE FROM arms WHERE experiment = $1) INSERT INTO arms SELECT 1",
        "CREATE TEMP TABLE t (id BIGINT PRIMARY KEY)",
    ):
        with pytest.raises(AssertionError):
            _check(text)
    for text in (
        "CREATE TABLE t (id BIGSERIAL PRIMARY KEY)",
        "CREATE TABLE t (arm BIGINT, experiment BIGINT, PRIMARY KEY (arm, experiment))",
        "CREATE TABLE t (experiment BIGINT)",
    ):
        with pytest.raises(AssertionError):
            _check_table(sqlglot.parse_one(text, dialect="postgres"))


def _check(text: str) -> None:
    if text.startswith((*_SESSION, "BEGIN", "COMMIT", "ROLLBACK", "SHOW")):
        return
    _check_words(text)
    if text.lstrip().startswith(("ALTER", "CREATE")):
        return
    statement = _parsed(text)
    assert isinstance(statement, sql.Select | sql.Insert | sql.Update | sql.Delete | sql.Union), (
        text
    )
    for function in statement.find_all(sql.Anonymous, sql.Func):
        name = function.name if isinstance(function, sql.Anonymous) else function.sql_name()
        if not isinstance(function, sql.Cast | sql.Case | sql.Connector | sql.Exists | sql.If):
            assert name.lower() in _FUNCTIONS | _SPELLED, (name, text)
    changed = [
        change.find(sql.Table).name  # type: ignore[union-attr]
        for change in statement.find_all(sql.Insert, sql.Update, sql.Delete)
    ]
    assert len(changed) == len(set(changed)), text
    columns = {column.name for column in statement.find_all(sql.Column, sql.Identifier)}
    for table in statement.find_all(sql.Table):
        if table.name in _DISTRIBUTED and not isinstance(table.parent, sql.Insert):
            assert columns & _KEYS.get(table.name, {"experiment"}), text


def _parsed(text: str) -> sql.Expr:
    # The parser would read what is between two `$` as a string.
    return sqlglot.parse_one(re.sub(r"\$(\d+)", r":p\1", text), dialect="postgres")


_SPELLED = {"explode", "exploding_generate_series", "substring", "array", "timestamp", "anonymous"}
"""The names that the parser gives to functions in `_FUNCTIONS`."""


def _check_words(text: str) -> None:
    for word in _FORBIDDEN_WORDS:
        assert word not in f"{text.lower()} ", (word, text)


def _check_table(statement: sql.Expr) -> str:
    table = statement.find(sql.Table)
    assert table is not None
    key = statement.find(sql.PrimaryKey)
    columns = list(statement.find_all(sql.ColumnDef))
    first = (
        key.expressions[0].name
        if key
        else next((c.name for c in columns if c.find(sql.PrimaryKeyColumnConstraint)), None)
    )
    is_first = first in _KEYS.get(table.name, {"experiment"})
    assert table.name in _OF_ALL or is_first, table.name
    for column in columns:
        assert column.kind is not None
        assert column.kind.this.name in _TYPES, column.sql()
    return table.name


def _without_options(text: str) -> str:
    return text.split(") WITH (", maxsplit=1)[0] + ")" if ") WITH (" in text else text


async def _read_all(store: Store) -> None:
    """Makes every kind of read, with every filter."""
    shown = ArmFilter(
        frozenset({1, 2, 3}),
        "g",
        "a",
        frozenset({"t"}),
        tuple(ConfigCondition("p", value) for value in (None, True, 1, 0.5, "x", (0.0, 1.0))),
    )
    for each in (ArmFilter(), shown):
        await store.arms("x", -1, _PAGE, each)
        await store.scores("x", -1, _PAGE, each, [[("val", "acc"), (None, "acc")]])
        for direction in ("maximize", "minimize"):
            query = RankQuery(((None, "acc"), ("val", "acc")), direction, shown=each)
            await store.rank("x", query, _PAGE)
            await store.members("x", query, lambda members, _tally: list(members))
    statuses = frozenset({"running", "completed"})
    await store.experiments("", _PAGE, ExperimentFilter(statuses, "x", frozenset({"t"}), ("x",)))
    for arm in [view.row.name for view in (await store.arms("x", -1, _PAGE, ArmFilter())).items]:
        await store.arm("x", arm, _PAGE)
        await store.eval("x", arm, "val", None)
        await store.eval("x", arm, "val", 1)
        await store.score("x", arm, [("val", "acc"), (None, "acc")])
        await store.evals("x", arm, -1, _PAGE, EvalFilter("val", 0, 9))
        await store.rows("x", arm, -1, _PAGE)
        await store.series("x", arm, 0, _PAGE, SeriesFilter())
    await store.changes("x", 0, None, _PAGE, SeriesFilter())
    await store.metrics("x", "", _PAGE)
    await store.ranking_state("x")
    await store.row_count([])
    await store.row_count(["x"])
    await store.tokens()


def test_ids_follow_from_names() -> None:
    """The id of an experiment is computed from its name, and never changes.

    So a server gives an id without asking the database.
    """
    assert experiment_id("x") == 3274422879871479876
    assert experiment_id("nlp/rank_sweep") != experiment_id("nlp/rank_sweep2")
