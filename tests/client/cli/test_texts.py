"""The texts of results: rankings, comparisons, arms, tokens, charts and live tables."""

import math
import os
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium import ArmResult, ArmSummary, EvalResult, RankedArm, RankedGroup, Ranking, RunConfig
from podium._model.listings import Metric, MetricSource
from podium._model.rankings import (
    GroupRanking,
    RankCounts,
    RankGroupCounts,
    RankSource,
    ScoreSource,
)
from podium.cli import _chart, _live_table, _rankings, _suggestions
from podium.cli._console import Console
from podium.cli.commands import compare, export, show, token, whoami
from podium.cli.commands import eval as eval_command
from podium.comparing import Members
from podium.comparing import compare as compared
from podium.curves import curves_of
from podium.ranking import rank
from podium.statistics import describe

from tests.each import each

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_SOURCES = [
    RankSource("post_training_eval", "test", "b1", 1_200),
    RankSource("in_loop_eval", "val", None, 3),
    RankSource("training_metrics", None, None, 2),
    RankSource("given_eval_metrics", None, None, 1),
    RankSource("newer", None, None, 1),
]

# ---- Rankings ------------------------------------------------------------------------------------


def test_the_row_of_an_arm() -> None:
    """In a ranking, scores have six digits.

    A missing value and the status "completed" are empty cells.
    """
    source = ScoreSource("in_loop_eval", "m", "val", 0)
    flags = ["nan", "benchmarks_differ"]
    arm = RankedArm("a", 1_000, 0.1234567, source, "b1", "g", "running", flags)
    found = ("1,000", "a", "0.123457", "val at 0", "b1", "g", "running", "nan, benchmarks differ")
    assert _rankings.arm_row(arm) == found
    arm = RankedArm("a", None, None, None, None, None, "completed")
    assert _rankings.arm_row(arm) == ("", "a", "", "", "", "", "", "")
    assert len(_rankings.ARM_HEADERS) == len(found)


def test_the_row_of_a_group() -> None:
    """The row of a group counts its members that are not in the mean, by reason.

    A group of one arm has no interval and no range.
    """
    flags = ["nan", "configs_differ"]
    group = RankedGroup("g", "a", 2, 12, describe([1.0, 2.0]), 1, 2, 3, 4, flags)
    words = "1 NaN, 2 without a score, 3 failed, 4 left out"
    found = ("2", "g", "1.5", "6.4", "0.71", "2/12", "1", "2", words, "configs differ")
    assert _rankings.group_row(group) == found
    alone = RankedGroup(None, "a", 1, 1, describe([0.5]))
    assert _rankings.group_row(alone) == ("1", "a", "0.5", "", "", "1", "", "", "", "")
    assert len(_rankings.GROUP_HEADERS) == len(found)


def test_the_sources_of_scores() -> None:
    """The three most frequent sources of scores are named with benchmark and count.

    Further sources are counted.
    """
    assert _rankings.sources(_SOURCES) == (
        "test of benchmark b1 (1,200), val in-loop (3), training (2) and 2 more"
    )
    assert _rankings.sources(_SOURCES[2:]) == "training (2), given (1), newer (1)"
    assert _rankings.sources(_SOURCES[1:3]) == "val in-loop (3), training (2)"
    assert _rankings.sources(_SOURCES[:1]) == "test of benchmark b1"


def _arms(*ranks: int | None) -> Ranking:
    arms = [RankedArm("a", each, None, None, None, None, "completed") for each in ranks]
    counts = RankCounts(1, 2, 1, podium.ArmCounts(running=2_000))
    return Ranking("m", "minimize", 7, counts, [], arms)


def test_the_summary_of_a_ranking() -> None:
    """The summary of a ranking says "the first N of" if not all ranked arms are listed.

    Each count has its noun, in the singular or plural.
    """
    text = "1 score, 2 NaN, 1 arm without a score, 2,000 running left out"
    assert _rankings.summary(_arms(1, 2, 3, None)) == f"m, minimize: {text}"
    assert _rankings.summary(_arms(1, 2)) == f"m, minimize: the first 2 of {text}"
    groups = [RankedGroup("g", "a", each, 1, describe([1.0])) for each in (1, None)]
    counts = RankCounts(2, 0, 2)
    for ranked, first in ((1, ""), (2, "the first 1 of ")):
        of_groups = RankGroupCounts(ranked, 3, 4)
        found = GroupRanking("m", "maximize", 7, counts, [], groups, of_groups)
        assert _rankings.summary(found) == (
            f"m, maximize: {first}{ranked} group{'s' * (ranked > 1)}, 3 without a mean, "
            "4 too small; 2 scores, 2 arms without a score"
        )


def test_the_doubts_about_a_ranking() -> None:
    """A ranking warns of evals with several benchmarks.

    It warns of groups with several configurations, too.
    """
    sources = [*_SOURCES, RankSource("post_training_eval", "test", "b2", 1)]
    groups = [
        RankedGroup(name, name, 1, 1, describe([1.0]), flags=flags)
        for name, flags in (("g", ["configs_differ"]), ("h", ["nan"]), ("i", ["configs_differ"]))
    ]
    found = GroupRanking("m", "maximize", 7, RankCounts(), sources, groups, RankGroupCounts())
    assert [text.partition(";")[0] for text in _rankings.doubts(found)] == [
        "eval test has rows of different benchmarks",
        "configurations differ in more than name and seed within g, i",
    ]
    assert list(_rankings.doubts(_arms(1))) == []


# ---- Comparisons ---------------------------------------------------------------------------------


def _arm(name: str, score: float | None, status: str = "completed", **config: Any) -> ArmResult:
    rows = [] if score is None else [EvalResult("test", metrics={"acc": score})]
    return ArmResult(name, RunConfig(name, **config), status, evals=rows)


def test_the_sides_of_a_comparison() -> None:
    """Each side of a comparison names its arms, and those left out with the reason.

    A status other than "completed" is shown.
    """
    arms = [_arm("a", 0.5, tags=["x"]), _arm("b", math.nan)]
    group = Members("g", is_group=True, arms=arms, left_out={"z": "failed"})
    other = Members("c", is_group=False, arms=[_arm("c", None, "running")])
    found = compared(group, other)
    assert compare._side(found.left) == "group g: a, b; left out: z (failed); configs differ"
    assert compare._side(found.right) == "arm c (running)"
    [metric] = found.metrics
    assert compare._row(metric)[-2:] == ("1, 0", "1 without a value, 1 NaN")
    assert list(compare._doubts(found)) == ["configs differ (group g)"]
    empty = group._replace(arms=[], left_out={})
    assert compare._side(compared(empty, other).left) == "group g: no arm with a selected status"


# ---- Arms and experiments ------------------------------------------------------------------------


def _fields(found: Any) -> dict[str, str]:
    return {label: text for label, text in found if text}


def test_the_fields_of_an_arm() -> None:
    """`podium show` labels each field of an arm.

    Settings that are 0 or false are shown, empty ones are not.
    """
    extras: dict[str, Any] = {"on": False, "n": 0, "none": None, "empty": {"x": []}}
    arm = ArmResult(
        "a",
        RunConfig("c", extras=extras, seed=0, tags=["in config"]),
        "running",
        run_id="r",
        train_seconds=61,
        group_id="7",
        group_name="g",
    )
    arm.experiment, arm.revision, arm.tags = "e", 9, ["t", "u"]
    arm.annotations = podium.Annotations("a note")
    arm.attempt, arm.last_heard = podium.Attempt("A", 3), _TIME
    arm.create_time, arm.update_time = _TIME, _TIME + timedelta(hours=1)
    assert _fields(show._arm_fields(arm)) == {
        "arm": "a of e",
        "status": "running",
        "last heard": "2026-01-02 03:04:05Z",
        "group": "g (7)",
        "notes": "a note",
        "tags": "t u",
        "run id": "r",
        "attempt": "A (order 3)",
        "config name": "c",
        "config seed": "0",
        "config extras": '{"n": 0, "on": false}',
        "training time": "1 min 01 s",
        "created": "2026-01-02 03:04:05Z",
        "updated": "2026-01-02 04:04:05Z, revision 9",
    }


def test_the_fields_of_an_experiment() -> None:
    """`podium show` labels each field of an experiment, and counts its arms by status."""
    experiment = podium.Experiment(
        "e", "h", "m", "c", "p", "minimize", ["t"], {"off": False, "none": None}
    )
    experiment.arm_counts = podium.ArmCounts(pending=1, running=2, completed=3_000, cancelled=4)
    experiment.create_time = experiment.update_time = _TIME
    assert _fields(show._experiment_fields(experiment)) == {
        "experiment": "e",
        "status": "running",
        "hypothesis": "h",
        "success metric": "m",
        "direction": "minimize",
        "parent": "p",
        "tags": "t",
        "arms": "3,007: 1 pending, 2 running, 3,000 completed, 4 cancelled",
        "metadata off": "false",
        "conclusion": "c",
        "created": "2026-01-02 03:04:05Z",
        "updated": "2026-01-02 03:04:05Z, revision 0",
    }


@each(
    ("is_clean", "text"),
    [(True, "c0"), (False, "c0, with uncommitted changes"), (None, "c0, unknown changes")],
)
def test_the_provenance_of_an_arm(*, is_clean: bool | None, text: str) -> None:
    """A commit with uncommitted or unknown changes is not shown like that of a clean work tree."""
    given = podium.Provenance("c0", is_clean, ["python", "a b"], packages={"x": "1"})
    assert _fields(show._provenance_fields(given)) == {
        "git commit": text,
        "command": "python 'a b'",
        "versions": "x 1",
    }
    assert _fields(show._provenance_fields(podium.Provenance(host="h"))) == {"host": "h"}


def test_the_eval_metrics_of_an_arm() -> None:
    """The eval of an arm's metrics is named only if the metrics are those of the primary eval."""
    arm = _arm("a", 0.5)
    arm.evals[0].step = 0
    assert show._eval_metrics(arm) == "acc=0.5  (test at step 0)"
    given = ArmResult("a", RunConfig("a"), "failed", eval_metrics={"m": 1}, evals=arm.evals)
    assert show._eval_metrics(given) == "m=1"


def test_an_eval_row(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium eval` shows each field of an eval row that is set, and all digits of its metrics."""
    row = EvalResult("v", "b", {"m": 1 / 3}, {}, 0.5, step=0, tags=["t", "u"], model_ref="x/y")
    row.event_time, row.record_time, row.revision = _TIME, _TIME + timedelta(days=1), 4
    eval_command._show(row, Console(as_json=False))
    assert capsys.readouterr().out.split("\n") == [
        "  eval          v",
        "  step          0",
        "  benchmark id  b",
        "  model         x/y",
        "  tags          t u",
        "  eval time     0.5 s",
        "  measured      2026-01-02 03:04:05Z",
        "  recorded      2026-01-03 03:04:05Z, revision 4",
        "",
        "METRIC  VALUE",
        "m       0.3333333333333333",
        "",
    ]


@each(
    ("value", "cell"),
    [(None, None), (True, True), (0.1, 0.1), (math.inf, "Infinity"), ("a", "a"), ("-a", "'-a")],
)
def test_a_cell_of_csv(value: object, cell: object) -> None:
    """In exported CSV files, a missing value is an empty cell. Numbers keep all of their digits."""
    assert export._cell(value) == cell


# ---- Tokens --------------------------------------------------------------------------------------


def test_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of tokens shows a token's role, prefixes, limits, stored rows and end.

    `podium whoami` shows them, too.
    """
    limits = podium.TokenLimits(calls=2, stored_rows=9_000)
    found = podium.Token("i", "n", "admin", ["p", "q"], _TIME, None, None, limits, 1_000)
    assert token._row(found) == (
        "i",
        "n",
        "admin",
        "p q",
        "calls=2 stored_rows=9000",
        "1,000 of 9,000",
        "2026-01-02 03:04:05Z",
        "valid",
    )
    client: Any = SimpleNamespace(address="h:1", whoami=lambda: found)
    whoami.run(Namespace(), client, Console(as_json=False))
    assert capsys.readouterr().out == (
        "token i at h:1\n  name         n\n  role         admin\n  prefixes     p q\n"
        "  limits       calls=2 stored_rows=9000\n  stored rows  1,000 of 9,000\n"
        "  expires      never\n"
    )
    client.whoami = lambda: None
    whoami.run(Namespace(), client, Console(as_json=False))
    assert capsys.readouterr().out == "h:1 requires no tokens, and allows every call\n"


# ---- Charts and live tables ----------------------------------------------------------------------


def _in_loop(name: str, *values: float, status: str = "completed") -> ArmResult:
    rows = [EvalResult("val", metrics={"acc": each}, step=n) for n, each in enumerate(values)]
    return ArmResult(name, RunConfig(name), status, evals=rows)


def test_the_values_of_a_chart() -> None:
    """A chart leaves out NaN and infinities.

    A curve of equal values, such as all zeros, is in the middle.
    """
    [curve] = curves_of([_in_loop("a", 1.0, math.nan, math.inf, -2.0)], "val.acc").curves
    assert _chart.series_of(curve) == _chart.Series([0, 3], [1.0, -2.0])
    for value, top in ((0.0, "0.9375"), (-50.0, "-45.31")):
        lines = list(_chart.chart([_chart.Series([1, 2], [value, value])], 30))
        assert lines[0].split()[0] == top
        assert lines[7].count("a") == 2
    many = [_chart.Series([n], [float(n)]) for n in range(60)]
    assert "".join(_chart.chart(many, 80)).count("Z") == 1
    late = _chart.Series([5], [1.0])
    drawn = "".join(_chart.chart([_chart.Series([], []), late], 30))
    assert ("a" in drawn, "b" in drawn) == (False, True)


def test_the_rows_of_a_live_table() -> None:
    """A live table ranks arms of every status, each with its own curve.

    Without a metric, the table has no ranks and no curves.
    """
    arms = [_in_loop("a", 1.0, 0.25, status="failed"), _in_loop("b", 0.0, 0.5, status="running")]
    summaries = [
        ArmSummary(arm.name, arm.run_config, arm.status, {"loss": 2.0}, eval_count=3)
        for arm in arms
    ]
    summaries[1].last_heard = _TIME
    state: Any = SimpleNamespace(
        arms={each.name: SimpleNamespace(summary=each) for each in summaries},
        rank=lambda metric, status: rank(arms, metric, status=status),
        curve=lambda metric, names, status: curves_of(
            [arm for arm in arms if arm.name in names and arm.status in status], metric
        ),
    )
    found = list(_live_table._rows(state, "val.acc", 9, 3, is_ascii=True))
    assert found == [
        ("1", "b", "running", "0.5", "_-+", "3", "2026-01-02", "loss=2"),
        ("2", "a", "failed", "0.25", "#*-", "3", "", "loss=2"),
    ]
    [first] = _live_table._rows(state, "val.acc", 1, 3, is_ascii=False)
    assert first[:2] == ("1", "b")
    [first] = _live_table._rows(state, None, 1, 3, is_ascii=False)
    assert first[:5] == ("", "a", "failed", "", "")


def test_a_screen_is_drawn_when_something_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to draw during drawing draws the screen once more.

    A lag draws it again only if the text about the lag changes.
    """
    drawn: list[tuple[Any, ...]] = []
    live: Any = SimpleNamespace(lag=0.0, state="first")

    def show(*given: Any) -> None:
        drawn.append(given[:3])
        if len(drawn) == 1:
            live.state = "second"
            screen.draw()

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(_live_table, "_show", show)
    screen = _live_table._Screen(live, "m", Console(as_json=False))
    screen.draw()
    screen.draw_lag()
    assert drawn == [("first", "m", ""), ("second", "m", "")]
    live.lag = 13.0
    screen.draw_lag()
    screen.draw_lag()
    assert drawn[2:] == [("second", "m", "no answer from the server for 13 s, ")]


def test_a_live_table_fits_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live table shows as many arms as fit on the screen below its title and headers.

    One line is left for the cursor.
    """
    arms = [_in_loop(f"a{n}", float(n)) for n in range(9)]
    state: Any = SimpleNamespace(
        revision=7,
        experiment=podium.Experiment("e", success_metric="val.acc"),
        arms={
            arm.name: SimpleNamespace(summary=ArmSummary(arm.name, arm.run_config, arm.status))
            for arm in arms
        },
        rank=lambda metric, status: rank(arms, metric, status=status),
        curve=lambda metric, *_, **__: curves_of([], metric),
    )
    for height, count in ((6, 3), (2, 1)):
        size = os.terminal_size((60, height))
        monkeypatch.setattr("shutil.get_terminal_size", lambda size=size: size)
        _live_table._show(state, None, "", Console(as_json=False))
        title, header, *rows = capsys.readouterr().out.splitlines()
        assert title == f"\x1b[H\x1b[Je, revision 7, 9 arms, {9 - count} more below"
        assert header.split() == ["RANK", "ARM", "STATUS", "SCORE", "EVALS"]
        assert [row.split()[1] for row in rows] == ["a8", "a7", "a6"][:count]


def test_metrics_that_may_have_values_by_step() -> None:
    """Metrics of in-loop evals come before training metrics.

    Metrics of post-training evals only, and the arm's own eval metrics, are left out.
    """
    metrics = [
        Metric("loss", None, 1, [MetricSource("training_metrics", 1)]),
        Metric("acc", None, 1, [MetricSource("in_loop_eval", 1)]),
        Metric(
            "val.acc",
            "val",
            2,
            [MetricSource("post_training_eval", 1), MetricSource("in_loop_eval", 1)],
        ),
        Metric("test.acc", "test", 1, [MetricSource("post_training_eval", 1)]),
    ]
    client: Any = SimpleNamespace(experiment=lambda _name: SimpleNamespace(metrics=lambda: metrics))
    assert _suggestions.step_metrics(client, "e") == ["val.acc", "loss"]
    assert "'val.acc'" in _suggestions.near_metrics(client, "e", "val.ac")
    assert "test.acc" not in _suggestions.near_metrics(client, "e", "test.ac", by_step=True)
    assert _suggestions.near_metrics(client, "e", "loss") == ""
