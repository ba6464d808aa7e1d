"""Tests of how results look in a console and a notebook, and as DataFrames."""

import math
import sys
from functools import cache

import pytest
from podium import (
    ArmResult,
    ArmSummary,
    Comparison,
    Curves,
    EvalResult,
    Experiment,
    ExperimentResult,
    RunConfig,
    ScoreColumn,
    ScoredArm,
    ScoreMatrix,
)
from podium._values.tabular import Tabular
from podium._values.text_width import width_of
from podium.comparing import Members, compare
from podium.curves import curves_of
from podium.ranking import rank, rank_groups

_NAME = "<b>arm</b>\x1b[31m & 'x'"


def _arm(name: str, score: float, group: str | None = None) -> ArmResult:
    rows = [EvalResult("val", metrics={"acc": score}, step=step) for step in range(100)]
    rows.append(EvalResult("test", metrics={"acc": score}))
    return ArmResult(
        name, RunConfig("c", extras={"k": "v" * 9000}), "failed", {"b": 1, "a": 2}, evals=rows,
        error="e" * 9000, group_name=group,
    )  # fmt: skip


def _result(count: int) -> ExperimentResult:
    arms = [
        ArmSummary(f"arm{k}", RunConfig("c" * 900), "completed", {"loss": 0.25}, {"acc": k / 8})
        for k in range(count)
    ]
    return ExperimentResult(
        Experiment("sweep", hypothesis="h" * 5000), "completed", arms, "arm3", 0.375, "arm3 is best"
    )


def _side(name: str, arms: list[ArmResult]) -> Members:
    return Members(name, len(arms) > 1, arms)


@cache
def _tables() -> list[Tabular]:
    arms = [
        _arm(_NAME, 99, _NAME),
        _arm("b", math.nan, _NAME),
        *(_arm(f"{k}", k) for k in range(60)),
    ]
    return [
        rank(arms, "test.acc", status="failed"),
        rank_groups(arms, "test.acc", status="failed"),
        curves_of(arms, "val.acc"),
        compare(_side(_NAME, arms[:3]), _side("b", arms[1:2])),
        _result(60),
        ScoreMatrix([ScoredArm(_NAME, "failed")], [ScoreColumn(_NAME, [0.5])], None),
    ]


@pytest.fixture(
    params=enumerate(
        ["Ranking", "GroupRanking", "Curves", "Comparison", "ExperimentResult", "ScoreMatrix"]
    ),
    ids=lambda param: param[1],
)
def table(request: pytest.FixtureRequest) -> Tabular:
    """Returns a table of each kind."""
    index, kind = request.param
    found: Tabular = _tables()[index]
    assert type(found).__name__ == kind
    return found


def test_an_arm_in_a_console() -> None:
    """The repr of an arm has the fields that are set, shortened, with sorted keys."""
    text = repr(_arm("a", 0.5))
    assert text.startswith("ArmResult(name='a', run_config=RunConfig(name='c', ")
    assert "status='failed', metrics={'a': 2.0, 'b': 1.0}" in text
    assert "run_id" not in text
    assert len(text) < 1500


def test_a_table_in_a_console(table: Tabular) -> None:
    """A repr has at most 20 rows of at most 120 characters, and no escape characters."""
    lines = repr(table).splitlines()
    assert lines[0].startswith(f"{type(table).__name__}: ")
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 120
    assert "\x1b" not in repr(table)


def test_wide_characters_are_aligned() -> None:
    """If names have wide characters, the second column is still aligned in a terminal."""
    arms = [
        ArmResult(name, RunConfig(name), "completed", {"loss": 0.5}) for name in ("漢字", "abcdef")
    ]
    _, head, *rows = repr(rank(arms, "loss")).splitlines()
    places = [width_of(row[: row.index("0.")]) for row in rows]
    assert places == [head.index("score")] * 2


def test_the_columns_of_a_table() -> None:
    """A repr leaves out empty columns. Its last line counts the rows that are not shown."""
    assert repr(_result(2)) == (
        "ExperimentResult: sweep, completed; arm3 is best\n"
        "arm   status     evals  eval.acc  train.loss\n"
        "arm0  completed  0      0         0.25\n"
        "arm1  completed  0      0.125     0.25"
    )
    assert repr(_result(23)).endswith("\n… and 3 more")


def test_groups_show_what_is_not_counted() -> None:
    """A ranking of groups counts members with NaN in a column, if there are any."""
    arms = [_arm("a", 0.5, "g"), _arm("b", math.nan, "g"), _arm("c", 0.25, "h")]
    assert repr(rank_groups(arms, "test.acc", status="failed")) == (
        "GroupRanking: test.acc, maximize\n"
        "rank  group  mean  n  min   max   flags  members  nans\n"
        "1     g      0.5   1  0.5   0.5   nan    2        1\n"
        "2     h      0.25  1  0.25  0.25         1"
    )


def test_a_table_in_a_notebook(table: Tabular) -> None:
    """Names are escaped in HTML."""
    html = table._repr_html_()
    assert html.count("<tr>") >= 2
    assert "<b>arm" not in html
    if not isinstance(table, ExperimentResult):
        assert "&lt;b&gt;arm&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("index", "rows", "column", "first"),
    [
        (0, 62, "score", 99.0),
        (1, 61, "mean", 99.0),
        (2, 6200, "mean", 99.0),
        (4, 60, "arm", "arm0"),
    ],
)
@pytest.mark.heavy
def test_data_frames(index: int, rows: int, column: str, first: object) -> None:
    """A DataFrame has every row, with plain values."""
    frame = _tables()[index].to_pandas()
    assert (len(frame), frame[column].iloc[0]) == (rows, first)


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """If pandas is not installed, the error names the extra that installs it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    for table in _tables():
        with pytest.raises(ImportError, match=r"pip install 'podium\[pandas\]'"):
            table.to_pandas()


def test_a_column_that_does_not_exist() -> None:
    """The error for an unknown column suggests similar columns, or lists all columns."""
    matrix = ScoreMatrix([], [ScoreColumn("test.acc", []), ScoreColumn("loss", [])], 1)
    with pytest.raises(KeyError, match=r"no column 'test.ac'; did you mean 'test.acc'"):
        matrix["test.ac"]
    with pytest.raises(KeyError, match=r"no column 'x'; the columns are 'test.acc', 'loss'"):
        matrix["x"]
    with pytest.raises(KeyError, match=r"no column \('a', 'loss'\); did you mean"):
        matrix["a", "loss"]  # type: ignore[index]


def test_curves_and_comparisons_are_compared_by_value() -> None:
    """Curves and comparisons are compared by value."""
    curves, same = (curves_of([_arm("a", 1)], "val.acc") for _ in range(2))
    assert isinstance(curves, Curves)
    assert curves == same
    sides = [compare(_side("a", [_arm("a", 1)]), _side("b", [])) for _ in "12"]
    assert isinstance(sides[0], Comparison)
    assert sides[0] == sides[1]
