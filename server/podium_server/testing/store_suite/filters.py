"""Tests of the filters of lists, compared with the same filters in plain Python."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from podium.scoring import experiment_status
from podium.v1.run_config_pb2 import ModelConfig, RunConfig
from podium.v1.value_pb2 import Value, ValueList, ValueMap

from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import ArmFilter, ConfigCondition, EvalFilter, ExperimentFilter
from podium_server.store.ranking_queries import RankQuery
from podium_server.store.rows import ArmRow, ExperimentRow
from podium_server.testing.calls import arm, declared, record, row
from podium_server.testing.paging import every_item, step_of

_PAGE = PageLimits(7, 2**21)
_TAGS = ('"', "a", "A", "ä", "a,b", "%")
_NAMES = ("a", "a%", "a_", "A", "ab", "abc", "b", "é", "\U0010ffff", "\U0010ffff" * 2, "\ud7ff")


def _tags(rng: Random) -> list[str]:
    return sorted(rng.sample(_TAGS, rng.choice((0, 0, 1, 2))))


def _is_shown(found: ArmRow, shown: ArmFilter) -> bool:
    return (
        (not shown.statuses or found.status in shown.statuses)
        and (shown.group_name is None or found.group_name == shown.group_name)
        and found.name.startswith(shown.name_prefix)
        and set(found.tags) >= shown.tags
    )


_SETTINGS = (
    ("null", Value(null_value=0)),  # type: ignore[arg-type]
    ("yes", Value(bool_value=True)),
    ("one", Value(int_value=1)),
    ("half", Value(double_value=0.5)),
    ("nan", Value(double_value=math.nan)),
    ("infinite", Value(double_value=math.inf)),
    ('say "hi"', Value(string_value='ä "x" \\ \n')),
    ("text", Value(string_value="1")),
    ("list", Value(list_value=ValueList(values=[Value(int_value=1)]))),
    ("map", Value(map_value=ValueMap(entries={"a.b": Value(int_value=2)}))),
)


async def test_filters_by_configuration(store: Store) -> None:
    """A condition on a run_config compares type and value, even in maps and under unusual keys."""
    plain = RunConfig(name="r", seed=2**53 + 1, model=ModelConfig(name="m"))
    for key, setting in _SETTINGS:
        plain.extras[key].CopyFrom(setting)
    for name, config in (("a", plain), ("b", RunConfig(name="r", seed=0))):
        await store.transact(record(declared(), arm(name, run_config=config)))
    cases: list[tuple[str, Any, str]] = [
        ("seed", 2**53 + 1, "a"),
        ("seed", 2**53, ""),
        ("seed", 0, "b"),
        ("seed", 0.0, "b"),
        ("seed", False, ""),
        ("seed", (-math.inf, 0.0), "b"),
        ("seed", (0.5, math.inf), "a"),
        ("seed", (-math.inf, math.inf), "ab"),
        ("name", "r", "ab"),
        ("model.name", "m", "a"),
        ("extras.null", None, "a"),
        ("extras.one", None, ""),
        ("extras.yes", True, "a"),
        ("extras.yes", False, ""),
        ("extras.yes", 1, ""),
        ("extras.one", 1.0, "a"),
        ("extras.one", True, ""),
        ("extras.half", 0.5, "a"),
        ("extras.half", (0.5, 0.5), "a"),
        ("extras.nan", (-math.inf, math.inf), ""),
        ("extras.infinite", (0.0, math.inf), ""),
        ('extras.say "hi"', 'ä "x" \\ \n', "a"),
        ("extras.text", "1", "a"),
        ("extras.text", 1, ""),
        ("extras.list", 1, ""),
        ("extras.map.a.b", 2, "a"),
        ("extras.none", None, ""),
    ]
    for path, value, expected in cases:
        shown = ArmFilter(config=(ConfigCondition(path, value),))
        assert "".join(row.name for row in await _all_arms(store, shown)) == expected, path
        await _check_filtered_ranking(store, shown, expected)


async def _check_filtered_ranking(store: Store, shown: ArmFilter, expected: str) -> None:
    query = RankQuery(((None, "m"),), "maximize", frozenset(range(1, 6)), shown=shown)
    page = await store.rank("x", query, PageLimits(100, 2**21))
    assert "".join(row.name for row in page.rows) == expected


async def _all_arms(store: Store, shown: ArmFilter) -> list[ArmRow]:
    views = await every_item(lambda at: store.arms("x", at, _PAGE, shown), -1)
    return [view.row for view in views]


async def _fill(store: Store, rng: Random) -> None:
    await store.transact(record(declared()))
    for number, name in enumerate(rng.choices(_NAMES, k=60)):
        group = rng.choice((None, "h", "g", "G"))
        fields: dict[str, Any] = {} if group is None else {"group_name": group}
        config = RunConfig(name="r", tags=_tags(rng))
        added = arm(f"{name}{number}", status=rng.randrange(1, 6), run_config=config, **fields)
        await store.transact(record(added))


@pytest.mark.parametrize("seed", range(3))
async def test_lists_of_arms(store: Store, seed: int) -> None:
    """Status, group, prefix and tags select the same arms as filters in plain Python."""
    rng = Random(seed)
    await _fill(store, rng)
    everything = await _all_arms(store, ArmFilter())
    assert len(everything) == 60
    counts = set()
    for _ in range(40):
        shown = ArmFilter(
            statuses=frozenset(rng.sample(range(1, 6), rng.choice((0, 1, 3)))),
            group_name=rng.choice((None, None, "", "h", "g", "G", "none")),
            name_prefix=rng.choice(("", "", *_NAMES)),
            tags=frozenset(_tags(rng)),
        )
        found = await _all_arms(store, shown)
        assert found == [row for row in everything if _is_shown(row, shown)], shown
        counts.add(len(found))
        matrix = await store.scores("x", -1, PageLimits(100, 2**21), shown, [])
        assert [row.name for row in matrix.arms] == [row.name for row in found]
        await _check_ranking(store, everything, shown)
    assert len(counts) > 5


async def _check_ranking(store: Store, everything: list[ArmRow], shown: ArmFilter) -> None:
    """Checks that a filtered ranking has the arms of the filter, and counts them by status."""
    query = RankQuery(
        ((None, "m"),),
        "maximize",
        shown.statuses or frozenset(range(1, 6)),
        shown=replace(shown, statuses=frozenset()),
    )
    counted = [row for row in everything if _is_shown(row, query.shown)]
    ranked = [row.name for row in counted if row.status in query.statuses]
    page = await store.rank("x", query, PageLimits(100, 2**21))
    assert [row.name for row in page.rows] == ranked
    assert page.tally.without_score == len(ranked)
    by_status = Counter(row.status for row in counted)
    assert list(page.tally.counts) == [by_status[status] for status in range(6)]
    members = await store.members("x", query, lambda members, _: [name for name, *_ in members])
    assert members == [row.name for row in counted]


async def test_lists_of_rows(store: Store) -> None:
    """The name of an eval selects its rows. A bound of the step selects only in-loop rows."""
    await store.transact(record(declared(), arm()))
    steps = (None, -(2**63), -1, 0, 3, 2**63 - 1)
    await store.transact(record(*(row(name, step) for name in "vw" for step in steps)))
    for name, least, most, expected in (
        (None, None, None, steps * 2),
        ("v", None, None, steps),
        ("V", None, None, ()),
        (None, 0, None, (0, 3, 2**63 - 1) * 2),
        ("w", None, 0, (-(2**63), -1, 0)),
        ("w", -1, 3, (-1, 0, 3)),
        ("w", 4, 3, ()),
    ):
        page = await store.evals(
            "x", "a", -1, PageLimits(100, 2**21), EvalFilter(name, least, most)
        )
        assert list(map(step_of, page.items)) == list(expected)


def _status(found: ExperimentRow) -> str:
    return experiment_status(
        total=sum(found.counts), completed=found.counts[3], failed=found.counts[4]
    )


async def _all_experiments(store: Store, shown: ExperimentFilter) -> list[ExperimentRow]:
    return await every_item(lambda at: store.experiments(at, _PAGE, shown), "")


async def test_lists_of_experiments(store: Store) -> None:
    """Status, prefix and tags select the same experiments as filters in plain Python."""
    rng = Random(1)
    names = [name for name in _NAMES if name.isprintable() or name > "\uffff"]
    outcomes = ((), (2,), (3, 4), (4,), (4, 4), (5,), (4, 5), (2, 3))
    for at, name in enumerate(names):
        await store.transact(record(declared(tags=_tags(rng)), experiment=name))
        for number, status in enumerate(outcomes[at % len(outcomes)]):
            await store.transact(record(arm(str(number), status=status), experiment=name))
    everything = await _all_experiments(store, ExperimentFilter())
    assert [found.name for found in everything] == sorted(names, key=str.encode)
    assert {_status(found) for found in everything} == {"running", "completed", "failed"}
    for statuses in ((), ("running",), ("completed", "failed")):
        for prefix in ("", *_NAMES):
            for tags in ((), ("a",), ('"', "a")):
                shown = ExperimentFilter(frozenset(statuses), prefix, frozenset(tags))
                found = await _all_experiments(store, shown)
                assert _names(found) == _names(_selected(everything, shown)), json.dumps(prefix)


def _names(found: Iterable[ExperimentRow]) -> list[str]:
    return [row.name for row in found]


def _selected(rows: Iterable[ExperimentRow], shown: ExperimentFilter) -> Iterable[ExperimentRow]:
    for found in rows:
        if (
            (not shown.statuses or _status(found) in shown.statuses)
            and found.name.startswith(shown.name_prefix)
            and set(found.tags) >= shown.tags
        ):
            yield found
