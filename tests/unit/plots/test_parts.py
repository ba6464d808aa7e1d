"""Tests of the numbers and texts of plots, computed without drawing."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium import ArmResult, EvalResult, RunConfig
from podium.curves import curves_of
from podium.plots import _curves, _figure, _ranking
from podium.plots._figure import apart, check_size, digits_of, is_drawable
from podium.plots._labels import listed
from podium.ranking import rank, rank_groups

from tests.lazy import Lazy

mpl: Any = Lazy("matplotlib")


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        ([], 4),
        ([0.5], 4),
        ([0.5, 0.6], 4),
        ([100.0, 100.5], 6),
        ([-100.5, -100.0], 6),
        ([123456.1, 123456.2], 10),
        ([1.0, 1.0 + 1e-15], 15),
        ([-1e308, 1e308], 4),
    ],
)
def test_the_digits_of_values(values: list[float], digits: int) -> None:
    """Values get enough digits to be told apart, at least 4 and at most 15."""
    assert digits_of(values) == digits


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5], [0.375, 0.625]),
        ([0.0, 0.0], [0.125, 0.375]),
        ([1.0, 1.0], [0.625, 0.875]),
        ([0.25, 0.5, 0.5], [0.1667, 0.4167, 0.6667]),
        ([0.1, 0.5, 0.55], [0.125, 0.4, 0.65]),
        ([0.0] * 5, [0.125, 0.375, 0.625, 0.875, 1.125]),
    ],
)
def test_places_of_labels(wanted: list[float], places: list[float]) -> None:
    """Labels that are too close are moved apart around their wanted places.

    They stay within the plot if there is room.
    """
    assert apart(wanted, 0.25) == pytest.approx(places, abs=1e-4)


def test_the_bounds_of_pictures() -> None:
    """There is a minimum size of figures, and a maximum magnitude of values that are drawn.

    The size of a figure limits how many names it shows.
    """
    check_size((3.0, 2.0))
    for size in ((2.99, 2.0), (3.0, 1.99), (math.nan, 2.0)):
        with pytest.raises(ValueError, match="figsize must be at least 3 by 2 inches"):
            check_size(size)
    values = (1e300, -1e300, 1.1e300, -1.1e300, math.inf, math.nan)
    assert [is_drawable(each) for each in values] == [True, True, False, False, False, False]
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert (_ranking._room(None), _ranking._room((6, 3)), _ranking._room((3, 2))) == (40, 11, 4)
    assert _ranking._room((9, 99)) == 40
    assert [_curves._most_named(size) for size in (None, (6, 3), (9, 99))] == [24, 10, 24]
    looks = list(_figure.styles())
    assert len({(each["color"], each["linestyle"]) for each in looks}) == len(looks) == 28
    assert {each["linestyle"] for each in looks[:7]} == {"-"}


@pytest.mark.parametrize(
    ("name", "metadata"),
    [("a.SVG", {"Date": None}), ("b.pdf", {"CreationDate": None}), ("c.png", None)],
)
def test_the_same_results_are_the_same_file(name: str, metadata: Any) -> None:
    """Figures are saved without the date of creation, and SVG files with ids from a fixed salt."""
    calls: list[Any] = []

    def savefig(path: Path, **settings: Any) -> None:
        calls.append((path, settings, mpl.rcParams["svg.hashsalt"], mpl.rcParams["savefig.dpi"]))
        assert not mpl.rcParams["text.parse_math"]

    figure: Any = SimpleNamespace(savefig=savefig)
    _figure.save(figure, Path(name))
    assert calls == [(Path(name), {"metadata": metadata}, "podium", 300)]


# ---- Rankings ------------------------------------------------------------------------------------


def _arm(name: str, score: float | None, group: str | None = None, **more: Any) -> ArmResult:
    rows = [] if score is None else [EvalResult("test", more.get("benchmark"), {"acc": score})]
    return ArmResult(
        name, RunConfig(name), more.get("status", "completed"), evals=rows, group_name=group
    )


def test_the_entries_of_a_ranking_of_arms() -> None:
    """The scores of a ranking have enough digits to be told apart.

    Scores of different benchmarks are marked as doubtful.
    """
    scores = (100.5, 100.0, math.inf, math.nan, None)
    found = rank([_arm(f"a{n}", score) for n, score in enumerate(scores)], "test.acc")
    assert [(each.name, each.text) for each in _ranking._entries(found)] == [
        ("a2", "inf"),
        ("a0", "100.500"),
        ("a1", "100.000"),
        ("a3", "NaN"),
        ("a4", "no score"),
    ]
    mixed = rank([_arm("a", 1.0), _arm("b", 2.0, benchmark="x"), _arm("c", math.nan)], "test.acc")
    assert [each.is_doubtful for each in _ranking._entries(mixed)] == [True, True, True]
    alone = rank([_arm("c", math.nan)], "test.acc")
    assert [each.is_doubtful for each in _ranking._entries(alone)] == [False]


def test_the_entries_of_a_ranking_of_groups() -> None:
    """The text of a group says how many of its members count.

    A group with one score has no interval and no range.
    """
    arms = [_arm("a", 1.0, "g"), _arm("b", 2.0, "g"), _arm("c", math.nan, "g"), _arm("d", 0.5, "h")]
    g, h, none = _ranking._entries(rank_groups([*arms, _arm("e", None, "i")], "test.acc"))
    assert (g.text, g.ends) == ("1.5 ± 6.4  (n = 2/3)", (1.0, 2.0))
    assert (h.text, h.interval, h.ends) == ("0.5000  (n = 1)", None, None)
    assert (none.text, math.isnan(none.value)) == ("no mean", True)


def test_the_limits_of_a_ranking() -> None:
    """The axis has a margin of 4 %.

    Equal scores get a margin too, and very wide intervals are cut off.
    """
    for scores, limits in (
        ((1.0, 2.0), (0.96, 2.04)),
        ((100.0,), (99.6, 100.4)),
        ((0.0,), (-0.08, 0.08)),
        ((-100.0, -100.0), (-100.4, -99.6)),
    ):
        arms = rank([_arm(f"a{n}", score) for n, score in enumerate(scores)], "test.acc")
        found = _ranking._limits(list(_ranking._entries(arms)))
        assert found == pytest.approx(limits)
    wide = rank_groups([_arm("a", 1.0, "g"), _arm("b", 2.0, "g")], "test.acc")
    assert _ranking._limits(list(_ranking._entries(wide))) == pytest.approx((0.42, 2.58))


def test_the_notes_of_a_ranking() -> None:
    """The notes name the entries that are not drawn, say why, and count the arms left out.

    If not all entries fit, the notes count those that are drawn.
    """
    arms = [_arm(f"a{n}", n / 100) for n in range(41)]
    others = [_arm("inf", math.inf), _arm("nan", math.nan), _arm("none", None)]
    found = rank(
        [*arms, *others, *(_arm(f"x{n}", 1, status="failed") for n in range(2))], "test.acc"
    )
    entries = list(_ranking._entries(found))
    finite = [each for each in entries if is_drawable(each.value)]
    left = ["not drawn: inf (infinite), nan (NaN), none (no score)", "arms left out: 2 failed"]
    assert list(_ranking._notes(found, entries, finite[:40])) == [
        "drawn: the first 40 of 41",
        *left,
    ]
    assert list(_ranking._notes(found, entries, finite)) == left
    assert _ranking._title(found, None) == "Arms by test.acc"
    assert _ranking._title(found, "") == ""


# ---- Curves --------------------------------------------------------------------------------------


def _seeds(groups: int, seeds: int = 2, steps: int = 3) -> list[ArmResult]:
    return [
        ArmResult(
            f"g{group}_{seed}",
            RunConfig("c"),
            "running",
            evals=[
                EvalResult("val", metrics={"acc": step + seed}, step=step) for step in range(steps)
            ],
            group_name=f"g{group}",
        )
        for group in range(groups)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(
    ("groups", "notes"),
    [
        (4, ["mean over seeds (n = 2); bands: 95 % intervals (Student's t)"]),
        (5, ["mean over seeds (n = 2); bars: 95 % intervals at the last step (Student's t)"]),
        (24, ["mean over seeds (n = 2); bars: 95 % intervals at the last step (Student's t)"]),
        (25, ["mean over seeds (n = 2)", "25 curves"]),
    ],
)
def test_the_notes_of_curves(groups: int, notes: list[str]) -> None:
    """The notes of a plot say how intervals are drawn.

    If there are too many curves to name, the notes give the number of curves.
    """
    found = curves_of(_seeds(groups), "val.acc", by_group=True)
    lines = list(_curves._lines(found.curves, 24))
    assert list(_curves._notes(found, lines, 24)) == notes
    assert len({each.style["color"] for each in lines}) == (1 if groups > 24 else min(groups, 7))


def test_the_notes_of_curves_that_are_not_drawn() -> None:
    """Separate notes name arms without finite values, arms left out, and arms without values."""
    values = (math.inf, -math.inf, 7.0)
    rows = [EvalResult("val", metrics={"acc": each}, step=n) for n, each in enumerate(values)]
    infinite = ArmResult("inf", RunConfig("c"), "running", evals=rows[:2])
    partly = ArmResult("partly", RunConfig("c"), "running", evals=rows)
    empty = ArmResult("empty", RunConfig("c"), "running")
    arms = [*_seeds(1, 1), *_seeds(1, 2, 2)[1:], infinite, partly, empty]
    found = curves_of(arms, "val.acc", by_group=True, left_out={"bad": "failed"})
    lines = list(_curves._lines(found.curves, 24))
    intervals = "bands: 95 % intervals (Student's t)"
    assert list(_curves._notes(found, lines, 24)) == [
        f"mean over seeds (n = 2); {intervals}; hollow markers: fewer arms",
        "not drawn, without finite values: inf",
        "left out: bad (failed)",
        "not drawn, without values: empty",
    ]
    assert [line.last for line in lines] == [(2, 2.0), (2, 7.0)]
    alone = curves_of(_seeds(1, 1), "val.acc")
    assert list(_curves._notes(alone, list(_curves._lines(alone.curves, 24)), 24)) == []


@pytest.mark.parametrize(
    ("count", "steps"),
    [(1, [0]), (12, [*range(12)]), (13, [0, 2, 4, 6, 8, 10, 12]), (14, [*range(0, 14, 2), 13])],
)
def test_the_markers_of_a_curve(count: int, steps: list[int]) -> None:
    """A curve has at most about twelve markers, and its last point always has one."""
    drawn: list[int] = []
    axes: Any = SimpleNamespace(plot=lambda step, *_, **__: drawn.append(step))
    [line] = _curves._lines(curves_of(_seeds(1, 1, count), "val.acc").curves, 24)
    _curves._draw_markers(axes, line)
    assert drawn == steps


def test_the_names_of_curves() -> None:
    """The names of group curves include the number of arms only if these numbers differ."""
    for seeds, names in ((2, ["g0", "g1"]), (3, ["g0 (n = 2)", "g1 (n = 3)"])):
        arms = [
            arm
            for arm in _seeds(2, 3)
            if arm.name != "g0_2" and (seeds == 3 or arm.name[-1] != "2")
        ]
        found = curves_of(arms, "val.acc", by_group=True)
        lines = list(_curves._lines(found.curves, 24))
        assert _curves._names(lines, math.inf) == names
