"""Reads lists page by page. A filter becomes an SQL condition.

A page reads at most a fixed number of rows.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from podium_server.store.contract import Page, PageLimits
from podium_server.store.filters import ArmFilter, ConfigCondition, EvalFilter, ExperimentFilter
from podium_server.store.sql.connection import Connection, Cursor, fetch
from podium_server.store.sql.dialect import Condition, Dialect

__all__ = [
    "ListQuery",
    "all_arms",
    "arms_query",
    "evals_query",
    "experiments_query",
    "fill_page",
    "within",
]

T = TypeVar("T")
_SCAN_ROWS = 2_000
"""The most rows that are read for a page. Then the page ends, with the place to continue from."""
_EXPERIMENT_STATUS = (
    "CASE WHEN completed > 0 THEN 'completed' "
    "WHEN failed > 0 AND failed = pending + running + completed + failed + cancelled "
    "THEN 'failed' ELSE 'running' END"
)
"""The status of an experiment, as `podium.scoring.experiment_status` defines it."""
_HAS_PREFIX = "substr(name, 1, length(?)) = ?"
_SURROGATES = range(0xD800, 0xE000)


class ListQuery(NamedTuple):
    """A query for a list: the rows of `range` in order of `place`, if they meet all `conditions`.

    `bindings` are the bindings of `range`.
    """

    place: str
    columns: str
    range: str
    bindings: tuple[Any, ...]
    conditions: list[Condition]


def arms_query(
    dialect: Dialect, experiment: int | None, after: int, shown: ArmFilter, columns: str
) -> ListQuery:
    """Returns the query for the arms whose ordinal is greater than `after`."""
    where = "arms WHERE experiment = ? AND ordinal > ?"
    return ListQuery(
        "ordinal", columns, where, (experiment, after), _arm_conditions(dialect, experiment, shown)
    )


def all_arms(
    connection: Connection,
    dialect: Dialect,
    experiment: int | None,
    shown: ArmFilter,
    columns: str,
) -> Cursor:
    """Returns a cursor over all arms that pass a filter, in order of creation."""
    conditions, bindings = _joined(_arm_conditions(dialect, experiment, shown))
    statement = f"SELECT {columns} FROM arms WHERE experiment = ? AND {conditions} ORDER BY ordinal"
    return connection.execute(statement, (experiment, *bindings))


def _arm_conditions(dialect: Dialect, experiment: int | None, shown: ArmFilter) -> list[Condition]:
    return [
        (f"status IN ({_marks(shown.statuses)})", tuple(shown.statuses)),
        ("group_name = ?", () if shown.group_name is None else (shown.group_name,)),
        (_HAS_PREFIX, (shown.name_prefix, shown.name_prefix) if shown.name_prefix else ()),
        (dialect.has_tags, (_json(shown.tags),) if shown.tags else ()),
        *(_config_condition(dialect, experiment, condition) for condition in shown.config),
    ]


def _config_condition(
    dialect: Dialect, experiment: int | None, condition: ConfigCondition
) -> Condition:
    passes, bound = dialect.compared(condition.value)
    return dialect.has_value.format(passes=passes), (experiment, condition.path, *bound)


def evals_query(experiment: int, arm: int, after: int, shown: EvalFilter) -> ListQuery:
    """Returns the query for the positions and keys of the rows after a position."""
    conditions: list[Condition] = [
        ("name = ?", () if shown.name is None else (shown.name,)),
        ("post = 0 AND step >= ?", () if shown.min_step is None else (shown.min_step,)),
        ("post = 0 AND step <= ?", () if shown.max_step is None else (shown.max_step,)),
    ]
    where = "evals INDEXED BY evals_by_position WHERE experiment = ? AND arm = ? AND position > ?"
    columns = "position, name, post, step"
    return ListQuery("position", columns, where, (experiment, arm, after), conditions)


def experiments_query(
    dialect: Dialect, after: str, shown: ExperimentFilter, columns: str
) -> ListQuery:
    """Returns the query for the experiments after a name."""
    prefix = shown.name_prefix
    conditions: list[Condition] = [
        ("deleted = ?", (0,)),
        (f"{_EXPERIMENT_STATUS} IN ({_marks(shown.statuses)})", tuple(shown.statuses)),
        (dialect.has_tags, (_json(shown.tags),) if shown.tags else ()),
    ]
    where, bindings = ("name > ?", [after]) if after >= prefix else ("name >= ?", [prefix])
    end = _after_prefix(prefix)
    if end is not None:
        where, bindings = f"{where} AND name < ?", [*bindings, end]
    if shown.within:
        # This condition is part of the range, so that no place of a page is the name of an
        # experiment that the caller may not know.
        condition, names = within(shown.within)
        where, bindings = f"{where} AND {condition}", [*bindings, *names]
    return ListQuery("name", columns, f"experiments WHERE {where}", tuple(bindings), conditions)


def within(prefixes: Sequence[str]) -> Condition:
    """Returns the condition that the name of an experiment equals a prefix or is below one."""
    each = "name = ? OR (name > ? AND name < ?)"
    # The character after `/` is `0`.
    bindings = tuple(text for name in prefixes for text in (name, f"{name}/", f"{name}0"))
    return f"({' OR '.join([each] * len(prefixes))})", bindings


def fill_page(
    connection: Connection,
    query: ListQuery,
    load: Callable[[Sequence[Any]], T],
    size: Callable[[T], int],
    limits: PageLimits,
    revision: int,
    ahead: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Page[T]:
    """Fills a page with the rows that a query selects, within the page's limits.

    `load` makes an item from a row's columns, and `size` returns the bytes of the item. `ahead`
    yields the columns of all rows, and may read some rows ahead to load their data at once.
    """
    page: Page[T] = Page([], None, revision)
    room, last, at = limits.size, None, query.columns.split(", ").index(query.place)
    with closing(_selected(connection, query)) as rows:
        for columns in ahead(rows):
            if len(page.items) == limits.rows:
                page.next = last
                return page
            item = load(columns)
            room -= size(item)
            if room < 0 and page.items:
                page.next = last
                return page
            page.items.append(item)
            last = columns[at]
    page.next = _unseen(connection, query)
    return page


def _selected(connection: Connection, query: ListQuery) -> Cursor:
    conditions, bindings = _joined(query.conditions)
    inner = f"SELECT {query.columns} FROM {query.range} ORDER BY {query.place} LIMIT {_SCAN_ROWS}"
    statement = f"SELECT * FROM ({inner}) listed WHERE {conditions} ORDER BY {query.place}"
    return connection.execute(statement, (*query.bindings, *bindings))


def _joined(conditions: Iterable[Condition]) -> tuple[str, list[Any]]:
    """Joins the conditions that have bindings with AND. Returns the condition and all bindings."""
    used = [(condition, bindings) for condition, bindings in conditions if bindings]
    text = " AND ".join(condition for condition, _ in used) or "1 = 1"
    return text, [value for _, values in used for value in values]


def _unseen(connection: Connection, query: ListQuery) -> Any:
    """Returns the place of the last row that a page may read, or None if no rows follow it."""
    rows = f"SELECT {query.place} FROM {query.range} ORDER BY {query.place}"
    found = fetch(connection, f"{rows} LIMIT 2 OFFSET {_SCAN_ROWS - 1}", query.bindings)
    return found[0][0] if len(found) > 1 else None


def _json(tags: Iterable[str]) -> str:
    """Returns tags as a JSON list. Replaces NUL, because some databases cannot read its escape."""
    return json.dumps([tag.replace("\0", "\1") for tag in tags])


def _marks(values: Iterable[object]) -> str:
    return ",".join("?" for _ in values)


def _after_prefix(prefix: str) -> str | None:
    """Returns the smallest string that sorts after all strings with a prefix, or None."""
    kept = prefix.rstrip(chr(sys.maxunicode))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
