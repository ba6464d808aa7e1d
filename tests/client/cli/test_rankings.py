"""Tests of the exact tables of `podium rank` and `podium scores`."""

import json
import math
from typing import Any

import podium as library
import pytest

from tests.client.cli.shell import Outcome, on_terminal, podium

SCORES: list[tuple[str, str | None, int, str, float | None]] = [
    # arm, group, rank in the config, status, test.acc
    ("a0", "a", 4, "completed", 0.5),
    ("a1", "a", 4, "completed", 0.7),
    ("b0", "b", 8, "completed", 0.7),
    ("b1", "b", 9, "completed", math.nan),
    ("b2", "b", 8, "completed", None),
    ("c0", "c", 1, "completed", 0.1),
    ("c1", "c", 1, "failed", 0.2),
    ("alone", None, 3, "completed", math.inf),
    ("later", None, 3, "running", 0.9),
]


@pytest.fixture(scope="module")
def sweep(address: str) -> str:
    """Returns the name of an experiment with ties, NaN, infinity and a missing score.

    One of its arms has failed, and one is running.
    """
    with library.Client(address) as client:
        experiment = client.experiment("ranked")
        experiment.declare(success_metric="test.acc", direction="maximize")
        for row in SCORES:
            experiment.record_arm(_arm(*row))
    return "ranked"


def _arm(
    name: str, group: str | None, rank: int, status: str, score: float | None
) -> library.ArmResult:
    config = library.RunConfig(name, algorithm=library.Component("sft", {"rank": rank}))
    rows = [library.EvalResult("val", metrics={"acc": 0.25}, step=100)]
    if score is not None:
        rows.append(library.EvalResult("test", metrics={"acc": score}, tags=["test"]))
    return library.ArmResult(
        name, config, status, {"loss": float(rank)}, evals=rows, group_name=group
    )


def _shown(*arguments: str, address: str) -> list[str]:
    done = podium(*arguments, address=address)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


def _json(*arguments: str, address: str) -> Any:
    done = podium(*arguments, "--json", address=address)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out, parse_constant=pytest.fail)


# ---- rank ------------------------------------------------------------------------------------


def test_a_ranking(address: str, sweep: str) -> None:
    """Equal scores share a rank. NaN comes after numbers, and arms without a score come last."""
    assert podium("rank", sweep, address=address) == Outcome(
        0,
        "RANK  ARM    SCORE  SOURCE  GROUP  FLAGS\n"
        "   1  alone    inf  test\n"
        "   2  a1       0.7  test    a\n"
        "   2  b0       0.7  test    b\n"
        "   4  a0       0.5  test    a\n"
        "   5  c0       0.1  test    c\n"
        "   6  b1       nan  test    b      nan\n"
        "      b2                    b\n"
        "\n"
        "test.acc, maximize: 5 scores, 1 NaN, 1 arm without a score, 1 running left out, "
        "1 failed left out\n"
        "scores from test; revision 10\n",
    )


def test_the_first_ones_by_another_metric(address: str, sweep: str) -> None:
    """Options choose the metric, the direction, the number of arms and their status."""
    chosen = ("--metric", "loss", "--minimize", "--top", "2")
    assert _shown("rank", sweep, *chosen, address=address) == [
        "RANK  ARM    SCORE  SOURCE    GROUP",
        "   1  c0         1  training  c",
        "   2  alone      3  training",
        "",
        "loss, minimize: the first 2 of 7 scores, 1 running left out, 1 failed left out",
        "scores from training; revision 10",
    ]
    others = ("--metric", "val.acc", "--status", "failed", "--status", "running")
    assert _shown("rank", sweep, *others, address=address) == [
        "RANK  ARM    SCORE  SOURCE      GROUP  STATUS",
        "   1  c1      0.25  val at 100  c      failed",
        "   1  later   0.25  val at 100         running",
        "",
        "val.acc, maximize: 2 scores, 7 completed left out",
        "scores from val in-loop; revision 10",
    ]


def test_groups(address: str, sweep: str) -> None:
    """A group has the mean of its arms. Arms that are not in the mean are counted by reason."""
    counts = "5 scores, 1 NaN, 1 arm without a score"
    left_out = "1 running left out, 1 failed left out"
    done = podium("rank", sweep, "--by-group", address=address)
    assert done.out.splitlines() == [
        "RANK  GROUP  MEAN  ±95%    SD    N  MIN  MAX  NOT COUNTED               FLAGS",
        "   1  alone   inf                1",
        "   2  b       0.7              1/3  0.7  0.7  1 NaN, 1 without a score  configs differ",
        "   3  a       0.6   1.3  0.14    2  0.5  0.7",
        "   4  c       0.1              1/2  0.1  0.1  1 failed",
        "      later                    0/1            1 left out",
        "",
        f"test.acc, maximize: 4 groups, 1 without a mean; {counts}, {left_out}",
        "scores from test; revision 10",
    ]
    assert done.err == "podium: configurations differ in more than name and seed within b\n"


def test_groups_that_are_too_small(address: str, sweep: str) -> None:
    """The groups that `--min-members` leaves out are counted.

    Without `--by-group`, the option is a usage error.
    """
    lines = _shown("rank", sweep, "--by-group", "--min-members", "2", address=address)
    assert lines[1:2] == ["   1  a       0.6   1.3  0.14  2  0.5  0.7"]
    assert lines[-2].startswith("test.acc, maximize: 1 group, 4 too small; ")
    alone = podium("rank", sweep, "--min-members", "2", address=address)
    assert alone == (2, "", "podium: --min-members is for groups: give --by-group as well\n")


def test_what_cannot_be_compared(address: str, sweep: str) -> None:
    """With `--strict`, a ranking that has a warning is an error, and nothing is printed."""
    done = podium("rank", sweep, "--by-group", "--strict", address=address)
    assert done == (
        2,
        "",
        (
            "podium: the scores are not comparable: "
            "configurations differ in more than name and seed within b\n"
        ),
    )


def test_a_ranking_as_json(address: str, sweep: str) -> None:
    """With `--json`, a ranking lists every arm that is not left out, and counts the others.

    NaN and infinity are strings.
    """
    found = _json("rank", sweep, address=address)
    assert [(arm["rank"], arm["arm"], arm["score"]) for arm in found["arms"]] == [
        (1, "alone", "Infinity"),
        (2, "a1", 0.7),
        (2, "b0", 0.7),
        (4, "a0", 0.5),
        (5, "c0", 0.1),
        (6, "b1", "NaN"),
        (None, "b2", None),
    ]
    assert found["counts"]["left_out"]["failed"] == 1
    groups = _json("rank", sweep, "--by-group", address=address)["groups"]
    assert [(found["rank"], found["group_name"], found["first_arm"]) for found in groups] == [
        (1, None, "alone"),
        (2, "b", "b0"),
        (3, "a", "a0"),
        (4, "c", "c0"),
        (None, None, "later"),
    ]


def test_nothing_to_rank(address: str, name: str) -> None:
    """A ranking without arms is not an error.

    A missing metric and an unknown experiment are errors.
    """
    assert _shown("rank", name, "--metric", "m", address=address) == ["m, maximize: 0 scores"]
    missing = podium("rank", name, address=address)
    assert (missing.code, missing.out) == (3, "")
    assert (
        "has no success_metric; give a metric to rank by, or declare a success_metric"
        in missing.err
    )
    assert podium("rank", "nope", "--metric", "m", address=address).code == 1


def test_a_ranking_on_a_narrow_terminal(address: str, sweep: str) -> None:
    """No line of a ranking is wider than the terminal."""
    done = on_terminal("rank", sweep, "--by-group", address=address, columns=50)
    table = done.out.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 50
    assert len(table) == 6


# ---- scores ----------------------------------------------------------------------------------


def test_scores_side_by_side(address: str, sweep: str) -> None:
    """`podium scores` lists arms in the order of their creation, and leaves missing scores blank.

    NaN is a score. A note names a metric that no arm has.
    """
    done = podium("scores", sweep, "test.acc", "loss", "test.nope", "val.acc", address=address)
    assert done == Outcome(
        0,
        "ARM    test.acc  loss  val.acc\n"
        "a0          0.5     4     0.25\n"
        "a1          0.7     4     0.25\n"
        "b0          0.7     8     0.25\n"
        "b1          nan     9     0.25\n"
        "b2                  8     0.25\n"
        "c0          0.1     1     0.25\n"
        "c1          0.2     1     0.25\n"
        "alone       inf     3     0.25\n"
        "later       0.9     3     0.25\n",
        "podium: no arm has a score on 'test.nope'\n",
    )


def test_scores_of_some_arms(address: str, sweep: str) -> None:
    """`podium scores` has the same filters as lists of arms. A note says if no arm passes them."""
    chosen = ("--prefix", "b", "--status", "completed", "--group", "b")
    assert _shown("scores", sweep, "loss", *chosen, address=address) == [
        "ARM  loss",
        "b0      8",
        "b1      9",
        "b2      8",
    ]
    assert podium("scores", sweep, "loss", "--tag", "x", address=address) == (
        0,
        "",
        "podium: no arms: none has the tag 'x'\n",
    )


def test_scores_as_json(address: str, sweep: str) -> None:
    """With `--json`, each metric has a score or null for each arm, even if no arm has a score."""
    found = _json("scores", sweep, "test.acc", "nope", "--prefix", "b", address=address)
    assert [arm["arm"] for arm in found["arms"]] == ["b0", "b1", "b2"]
    assert found["columns"] == [
        {"metric": "test.acc", "scores": [0.7, "NaN", None]},
        {"metric": "nope", "scores": [None, None, None]},
    ]


def test_a_metric_that_no_arm_has(address: str, sweep: str) -> None:
    """If no arm has a score on a metric, `rank` and `scores` suggest similar metrics."""
    said = "podium: no arm has a score on 'tset.acc'; did you mean 'test.acc' or 'acc'?\n"
    done = podium("rank", sweep, "--metric", "tset.acc", address=address)
    assert (done.code, done.err) == (1, said)
    assert done.out == ""
    done = podium("scores", sweep, "tset.acc", address=address)
    assert (done.code, done.err) == (1, said)
    done = podium("scores", sweep, "Loss", address=address)
    assert done.err == "podium: no arm has a score on 'Loss'; did you mean 'loss'?\n"
    for command in (("rank", sweep, "--metric"), ("scores", sweep)):
        done = podium(*command, "tset.acc", "--json", address=address)
        assert (done.code, done.err) == (1, "")


def test_columns_of_configurations(sweep: str, address: str) -> None:
    """`arms`, `rank` and `scores` show values of configurations, and `arms` sorts by them."""
    column = ["--column", "config.algorithm.params.rank"]
    shown = _shown("arms", sweep, *column, "--sort", column[1], "--limit", "3", address=address)
    assert shown[0].split() == ["ARM", "STATUS", column[1]]
    assert [line.split() for line in shown[1:]] == [
        ["c0", "completed", "1"],
        ["c1", "failed", "1"],
        ["alone", "completed", "3"],
    ]
    names = _json("arms", sweep, "--sort", "eval.acc", "--reverse", address=address)
    assert [arm["name"] for arm in names] == [
        "alone", "later", "a1", "b0", "a0", "b2", "c1", "c0", "b1",
    ]  # fmt: skip
    ranked = _shown("rank", sweep, "test.acc", *column, "--top", "2", address=address)
    assert ranked[0].split()[-1] == column[1]
    assert [line.split()[-1] for line in ranked[1:3]] == ["3", "4"]
    scores = _shown("scores", sweep, "loss", *column, "--prefix", "a1", address=address)
    assert [line.split() for line in scores] == [["ARM", column[1], "loss"], ["a1", "4", "4"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("arms ranked --column config.algorithm.params.rang", "did you mean 'config.algorithm.p"),
        ("arms ranked --sort nothing.alike.at.all", "no arm has a value for 'nothing.alike"),
        ("arms ranked --reverse", "--reverse needs --sort NAME"),
        ("watch ranked --epoch a1", "--epoch needs --after REVISION"),
        ("arms ranked --config seed=5..1", "the range 5..1 is reversed; give 1..5"),
        ("rank ranked test.acc --metric loss", "two metrics are given"),
        ("rank ranked --by-group --column group", "--column is for arms: leave --by-group out"),
        ("export ranked --column group", "--column is for --format csv"),
    ],
)
def test_columns_and_ranges_that_are_wrong(
    sweep: str, address: str, arguments: str, message: str
) -> None:
    """A wrong column, range or pair of options is a usage error. The message names the problem."""
    done = podium(*arguments.split(), address=address)
    assert (sweep, done.code, done.out) == ("ranked", 2, "")
    assert message in done.err


def test_columns_in_csv(sweep: str, address: str) -> None:
    """A CSV export has the columns of `--column` after its own columns."""
    column = "config.algorithm.params.rank"
    done = podium("export", sweep, "--format", "csv", "--column", column, address=address)
    header, first, *_ = done.out.splitlines()
    assert header.endswith(f",event_time,{column}")
    assert first.startswith("ranked,a0,a,")
    assert first.endswith(",4")
