"""Tests of pictures of rankings: their content, their legibility, and their notes."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from podium import ArmResult, EvalResult, RunConfig, plots
from podium.curves import curves_of
from podium.ranking import rank, rank_groups

from tests.sparse import sparse
from tests.unit.plots.pictures import axes_of, check_texts, texts

pytestmark = pytest.mark.heavy


def arm(
    name: str,
    score: float | None,
    group: str | None = None,
    status: str = "completed",
    benchmark_id: str | None = None,
) -> ArmResult:
    """Returns an arm with a score on `test.acc`, or without a score."""
    rows = [] if score is None else [EvalResult("test", benchmark_id, {"acc": score})]
    return ArmResult(name, RunConfig(name), status, evals=rows, group_name=group)


def seeds(groups: int, count: int = 3) -> list[ArmResult]:
    """Returns groups of seeds. The scores of each group are 0.1 above the previous group."""
    return [
        arm(f"rank{group}_seed{seed}", group / 10 + seed / 100, f"rank{group}")
        for group in range(groups)
        for seed in range(count)
    ]


def test_groups_have_means_intervals_and_ends() -> None:
    """A group has a dot at its mean, a bar for its interval, and ticks at its extremes."""
    found = rank_groups(seeds(3), "test.acc")
    figure = plots.ranking_figure(found)
    lines = [list(line.get_xdata()) for line in axes_of(figure).lines]
    best = found.groups[0].statistics
    assert lines[0] == [pytest.approx(best.ci_low), pytest.approx(best.ci_high)]
    assert lines[1] == [0.2, 0.22]
    assert lines[2] == [pytest.approx(0.21)]
    shown = texts(figure)
    assert [text for text in shown if text.startswith("rank")] == ["rank2", "rank1", "rank0"]
    assert "0.210 ± 0.025  (n = 3)" in shown
    assert {"Groups by test.acc", "test.acc (greater is better)"} <= {*shown}
    assert "dot: mean; bar: 95 % interval (Student's t); ticks: least and greatest score" in shown


def test_arms_are_dots() -> None:
    """Each arm has a dot at its score, in the order of the ranking, without an interval."""
    found = rank([arm("a", 0.5), arm("b", 0.25), arm("c", 0.75)], "test.acc", direction="minimize")
    figure = plots.ranking_figure(found)
    assert [list(line.get_xdata()) for line in axes_of(figure).lines] == [[0.25], [0.5], [0.75]]
    shown = texts(figure)
    assert {"Arms by test.acc", "test.acc (smaller is better)", "0.2500"} <= {*shown}
    assert not [text for text in shown if "interval" in text]


def test_notes_name_what_is_not_drawn() -> None:
    """Notes name entries with NaN, infinity or no score, and count the arms left out."""
    arms = [
        arm("a", 0.5),
        arm("nan", math.nan),
        arm("inf", math.inf),
        arm("none", None),
        arm("bad", 0.9, status="failed"),
    ]
    notes = {"not drawn: inf (infinite), nan (NaN), none (no score)", "arms left out: 1 failed"}
    assert notes <= {*texts(plots.ranking_figure(rank(arms, "test.acc")))}
    shown = "\n".join(texts(plots.ranking_figure(rank_groups(arms, "test.acc"))))
    assert "not drawn: inf (infinite), nan (no mean), none (no mean)" in shown


def test_values_near_the_limits_of_a_double() -> None:
    """A value near the limits of a double is not drawn, and a note names it.

    If a group has such values, other groups are still drawn.
    """
    found = rank([arm("a", 1e308), arm("b", -1e308), arm("c", 0.5)], "test.acc")
    figure = plots.ranking_figure(found)
    assert [list(line.get_xdata()) for line in axes_of(figure).lines] == [[0.5]]
    assert any("not drawn: a (1.0" in text for text in texts(figure))
    seeds = [arm("a", 1.7e308, "g"), arm("b", -1.7e308, "g"), arm("c", 0.5, "h")]
    assert "h" in texts(plots.ranking_figure(rank_groups(seeds, "test.acc")))


def test_doubtful_entries_are_hollow() -> None:
    """An entry whose benchmarks or configurations differ is hollow, and a note explains that."""
    arms = [arm("a", 0.5), arm("b", 0.6, benchmark_id="v2")]
    figure = plots.ranking_figure(rank(arms, "test.acc"))
    assert [line.get_markerfacecolor() for line in axes_of(figure).lines] == ["white", "white"]
    assert "hollow dot: benchmarks or configurations differ" in texts(figure)


def test_a_wide_interval_does_not_hide_the_others() -> None:
    """A very wide interval is cut off, with arrows at its ends."""
    arms = [*seeds(3), arm("x", 0.0, "two"), arm("y", 0.3, "two")]
    axes = axes_of(plots.ranking_figure(rank_groups(arms, "test.acc")))
    low, high = axes.get_xlim()
    assert (low, high) == pytest.approx((-0.174, 0.474), abs=0.01)
    assert {"<", ">"} <= {line.get_marker() for line in axes.lines}


@pytest.mark.slow
@pytest.mark.parametrize("groups", sparse([12, 1, 40, 60]))
def test_no_text_lies_on_another(groups: int) -> None:
    """Names and numbers do not overlap. If there are more than 40 entries, a note says so."""
    figure = plots.ranking_figure(rank_groups(seeds(groups), "test.acc"))
    check_texts(figure)
    assert ("drawn: the first 40 of 60" in "\n".join(texts(figure))) == (groups == 60)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.5, 0.5), "0.5 ± 0  (n = 2)"),
        ((123.0, 125.0), "124 ± 13  (n = 2)"),
        ((1e-9, 3e-9), "2e-09 ± 1.3e-08  (n = 2)"),
        ((0.50000001, 0.50000002), "0.500000015 ± 6.4e-08  (n = 2)"),
        ((1.5e8, 1.6e8), "1.55e+08 ± 6.4e+07  (n = 2)"),
    ],
)
def test_a_mean_has_the_places_that_are_known(scores: tuple[float, ...], expected: str) -> None:
    """A mean has as many decimal places as its interval, which has two significant digits."""
    arms = [arm(f"a{index}", score, "g") for index, score in enumerate(scores)]
    assert expected in texts(plots.ranking_figure(rank_groups(arms, "test.acc")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "figsize"),
    sparse([(6, (5, 3)), (1, None), (6, None), (60, None), (60, (6, 6))]),
)
def test_long_names_leave_room(groups: int, figsize: tuple[float, float] | None) -> None:
    """Names of 80 characters are shortened, stay different, and leave room for the plot."""
    arms = [
        arm(f"{number}", number / 90, f"qwen3-8b_lora_rank{number // 2}_{'lr1e-4_' * 8}bf16")
        for number in range(2 * groups)
    ]
    for one in arms:
        one.evals[0].name = f"bench@openai/{'gpt-4.1' * 9}"
    arms.append(arm("x" * 80, math.nan))
    ranking = rank_groups(arms, f"{arms[0].evals[0].name}.acc")
    figure = plots.ranking_figure(ranking, figsize=figsize)
    check_texts(figure)
    names = [text for text in texts(figure) if text.startswith("qwen")]
    assert len({*names}) == len(names) >= min(groups, 5)
    assert groups == 1 or all(re.search(r"…rank\d+…", name) for name in names)
    assert axes_of(figure).get_window_extent().width / figure.dpi > (1.4 if figsize else 3)


def test_a_name_does_not_change_the_direction_of_others() -> None:
    """Control characters of a name are shown as escapes in labels, notes and the title."""
    name = "a\u202eb\nc"
    found = rank([arm(name, 0.5), arm(f"{name}2", None)], "test.acc")
    shown = " ".join(texts(plots.ranking_figure(found, title=name)))
    assert "\u202e" not in shown
    assert shown.count(r"a\u202eb") == 3


def test_close_scores_differ_in_their_texts() -> None:
    """Scores and ticks have enough digits to be told apart."""
    figure = plots.ranking_figure(rank([arm("a", 123456.1), arm("b", 123456.2)], "test.acc"))
    shown = texts(figure)
    assert {"123456.1000", "123456.2000"} <= {*shown}
    assert len({*shown}) == len(shown)


def test_curves_are_no_ranking() -> None:
    """If curves are passed, the error names the functions that draw curves."""
    curves: Any = curves_of(seeds(1), "test.acc")
    with pytest.raises(
        TypeError, match=r"rank_groups\(\), not Curves; save_curves and curves_figure"
    ):
        plots.ranking_figure(curves)


def test_saving_a_ranking(tmp_path: Path) -> None:
    """A ranking is saved as a PNG file.

    A ranking without a finite score is rejected, and so is the name of a .txt file.
    """
    plots.save_ranking(rank(seeds(1), "test.acc"), tmp_path / "a.png", title="")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"no finite score on 'test.acc' to draw"):
        plots.ranking_figure(rank([arm("a", None)], "test.acc"))
    with pytest.raises(ValueError, match=r"a picture is a .png, .svg or .pdf file"):
        plots.save_ranking(rank(seeds(1), "test.acc"), tmp_path / "a.txt")
