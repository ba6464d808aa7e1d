"""Tests of how commands show results: rankings, comparisons, arms, experiments, eval rows."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import podium
import pytest
from podium import ArmResult, EvalResult, RankedArm, RankedGroup, Ranking, RunConfig
from podium._model.rankings import (
    GroupRanking,
    RankCounts,
    RankGroupCounts,
    RankSource,
    ScoreSource,
)
from podium.cli import _rankings
from podium.cli._console import Console
from podium.cli.commands import compare, export, show
from podium.cli.commands import eval as eval_command
from podium.comparing import Members
from podium.comparing import compare as compared
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
    """The three most frequent sources of scores are listed with benchmark and count.

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
    """A commit with uncommitted or unknown changes is marked. That of a clean work tree is not."""
    given = podium.Provenance("c0", is_clean, ["python", "a b"], packages={"x": "1"})
    assert _fields(show._provenance_fields(given)) == {
        "git commit": text,
        "command": "python 'a b'",
        "versions": "x 1",
    }
    assert _fields(show._provenance_fields(podium.Provenance(host="h"))) == {"host": "h"}


def test_the_eval_metrics_of_an_arm() -> None:
    """If the eval metrics of an arm are those of its primary eval, this eval is named after them.

    If other eval metrics were given with the arm, no eval is named.
    """
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
