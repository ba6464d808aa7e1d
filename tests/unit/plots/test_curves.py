"""Tests of pictures of curves: their content, their legibility, and their files."""

import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from podium import ArmResult, Curves, EvalResult, RunConfig, plots
from podium.curves import curves_of
from podium.ranking import rank

from tests.sparse import sparse
from tests.unit.plots.pictures import axes_of, check_texts, texts

pytestmark = pytest.mark.heavy


def arms(groups: int, seeds: int, steps: range = range(0, 2001, 100)) -> list[ArmResult]:
    """Returns arms in groups, with one arm of a group for each seed.

    The values of an arm rise with the step. At step 2,000, they have risen by the group's number.
    """
    return [
        ArmResult(
            f"rank{group}_seed{seed}",
            RunConfig("c"),
            "completed",
            evals=[
                EvalResult("val", metrics={"acc": group * step / 2000 + seed / 10}, step=step)
                for step in steps
            ],
            group_name=f"rank{group}",
        )
        for group in range(groups)
        for seed in range(seeds)
    ]


def grouped(groups: int, seeds: int = 3) -> Curves:
    """Returns the curves of groups of seeds."""
    return curves_of(arms(groups, seeds), "val.acc", by_group=True)


def test_a_line_has_the_means_and_a_band_the_interval() -> None:
    """The line connects the means. The band covers Student's 95 % interval."""
    found = grouped(2)
    axes = axes_of(plots.curves_figure(found))
    line = next(line for line in axes.lines if len(line.get_xdata()) == 21)
    assert list(line.get_ydata()) == [p.statistics.mean for p in found.curves[0].points]
    band = axes.collections[1].get_paths()[0].get_extents()
    last = found.curves[1].points[-1].statistics
    assert last.mean == pytest.approx(1.1)
    assert band.y1 == pytest.approx(last.ci_high)
    assert band.y0 == pytest.approx(found.curves[1].points[0].statistics.ci_low)


def test_axes_title_and_notes_say_what_is_shown() -> None:
    """Both axes have labels, the title names the metric, and a note explains the bands."""
    left_out = {"rank9_seed0": "failed"}
    found = curves_of(arms(2, 3), "val.acc", by_group=True, left_out=left_out)
    shown = texts(plots.curves_figure(found))
    assert {"val.acc", "training step", "val.acc by training step", "rank0", "rank1"} <= {*shown}
    note = "mean over seeds (n = 3); bands: 95 % intervals (Student's t)"
    assert {note, "left out: rank9_seed0 (failed)"} <= {*shown}


def test_a_title_of_one_s_own_or_none() -> None:
    """A figure has the given title, or none if it is empty."""
    assert "My sweep" in texts(plots.curves_figure(grouped(1), title="My sweep"))
    assert "val.acc by training step" not in texts(plots.curves_figure(grouped(1), title=""))


@pytest.mark.slow
@pytest.mark.parametrize(
    "groups",
    sparse([6, 1, 4, 12, 24]),
)
def test_no_text_lies_on_another(groups: int) -> None:
    """The names of curves do not overlap, even if many curves end close together."""
    check_texts(plots.curves_figure(grouped(groups)))
    alike = curves_of(arms(1, groups), "val.acc")
    check_texts(plots.curves_figure(alike))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "figsize"),
    sparse([(3, (5, 3)), (1, None), (6, None), (24, None)]),
)
def test_long_names_leave_room(count: int, figsize: tuple[float, float] | None) -> None:
    """Names of 80 characters are shortened, stay different, and leave room for the plot."""
    long = [arm for arm in arms(count, 2) if arm.group_name]
    for arm in long:
        arm.group_name = f"qwen3-8b_lora_{arm.group_name}_lr1e-4_{'batch64_' * 6}adamw_bf16"
    found = curves_of(long, "val.acc", by_group=True, left_out={"x" * 80: "failed"})
    figure = plots.curves_figure(found, figsize=figsize)
    check_texts(figure)
    named = [text for text in texts(figure) if text.startswith("qwen")]
    assert len({*named}) == count
    found_ranks = re.findall(r"…(rank\d+)…", "\n".join(named))
    assert {*found_ranks} == {f"rank{group}" for group in range(count) if count > 1}
    assert axes_of(figure).get_window_extent().width / figure.dpi > (1.4 if figsize else 3)


def test_steps_of_one_point() -> None:
    """If a curve has only one step, the axis shows this step once."""
    found = curves_of(arms(1, 1, range(7, 8)), "val.acc")
    assert texts(plots.curves_figure(found)).count("7") == 1


def test_a_size_of_one_s_own() -> None:
    """A figure has the given size. If it is small, fewer curves have names."""
    figure = plots.curves_figure(grouped(12), figsize=(6, 3))
    assert figure.get_size_inches().tolist() == [6, 3]
    check_texts(figure)
    assert "12 curves" in texts(figure)
    with pytest.raises(ValueError, match="figsize must be at least 3 by 2 inches, not 1 by 9"):
        plots.curves_figure(grouped(1), figsize=(1, 9))


def test_a_notebook_shows_the_figure() -> None:
    """A notebook shows a figure as a PNG picture with its size in pixels."""
    shown: Any = plots.curves_figure(grouped(1), figsize=(6, 3))
    data, size = shown._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 576, "height": 288}


def test_a_ranking_is_no_curve() -> None:
    """If a ranking is passed, the error names the functions that draw rankings."""
    ranking: Any = rank(arms(1, 1), "val.acc", status="completed")
    with pytest.raises(
        TypeError, match=r"experiment.curve\(\), not Ranking; save_ranking and ranki"
    ):
        plots.save_curves(ranking, "a.png")


def test_more_groups_have_bars_at_their_ends() -> None:
    """If there are many groups, no bands are drawn.

    Instead, a bar beside the plot shows the last interval of each group.
    """
    found = grouped(6)
    axes = axes_of(plots.curves_figure(found))
    assert len(axes.collections) == 0
    bars = [line.get_ydata() for line in axes.lines if list(line.get_xdata()) == [1, 1]]
    ends = [curve.points[-1].statistics for curve in found.curves]
    assert [tuple(bar) for bar in bars] == [
        pytest.approx((end.ci_low, end.ci_high)) for end in ends
    ]


def test_intervals_that_are_not_drawn_take_no_room() -> None:
    """If bars show the last intervals, the axis does not cover earlier intervals."""
    early = [
        ArmResult(
            f"g{group}_{seed}",
            RunConfig("c"),
            "completed",
            evals=[
                EvalResult("val", metrics={"acc": 5.0 * seed if step == 0 else 5.0}, step=step)
                for step in range(3)
            ],
            group_name=f"g{group}",
        )
        for group in range(5)
        for seed in range(3)
    ]
    axes = axes_of(plots.curves_figure(curves_of(early, "val.acc", by_group=True)))
    assert axes.get_ylim() == pytest.approx((4.98, 5.02))


def test_many_curves_have_no_names() -> None:
    """If there are too many curves, they have no names, and a note counts them."""
    shown = texts(plots.curves_figure(curves_of(arms(1, 60), "val.acc")))
    assert "60 curves" in shown
    assert not [text for text in shown if text.startswith("rank")]


def test_points_of_fewer_arms_are_hollow() -> None:
    """The marker of a point that lacks some seeds is hollow, and a note explains that."""
    late = arms(1, 1, range(0, 1001, 100))
    figure = plots.curves_figure(curves_of([*arms(1, 2)[1:], *late], "val.acc", by_group=True))
    markers = [line for line in axes_of(figure).lines if len(line.get_xdata()) == 1]
    faces = {line.get_xdata()[0]: line.get_markerfacecolor() for line in markers}
    assert (faces[1000], faces[2000]) == ("#0072B2", "white")
    assert "hollow markers: fewer arms" in " ".join(texts(figure))


def test_nan_interrupts_a_line() -> None:
    """A line is interrupted at NaN and at infinities."""
    values = [0.1, math.nan, 0.3, math.inf]
    rows = [EvalResult("val", metrics={"acc": v}, step=k) for k, v in enumerate(values)]
    arm = ArmResult("a", RunConfig("a"), "running", evals=rows)
    line = axes_of(plots.curves_figure(curves_of([arm], "val.acc"))).lines[0]
    assert [math.isnan(value) for value in line.get_ydata()] == [False, True, False, True]


def test_names_are_no_formulas() -> None:
    """Dollar signs and carets in names are shown as they are, not as formulas."""
    rows = [EvalResult("val", metrics={"pass^3 in $": 0.5}, step=1)]
    arm = ArmResult("$x^2$_$", RunConfig("a"), "running", evals=rows)
    shown = texts(plots.curves_figure(curves_of([arm], "val.pass^3 in $")))
    assert {"$x^2$_$", "val.pass^3 in $"} <= {*shown}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "begins"),
    sparse([("a.SVG", b"<?xml"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")]),
)
def test_files(tmp_path: Path, name: str, begins: bytes) -> None:
    """The name of a file determines its format. The same curves give the same bytes."""
    file = tmp_path / name
    contents = set()
    for _ in range(2):
        plots.save_curves(grouped(2), file)
        contents.add(file.read_bytes())
    assert len(contents) == 1
    assert contents.pop().startswith(begins)


def test_other_file_formats_and_curves_without_values(tmp_path: Path) -> None:
    """Other file formats and curves without values are rejected, and no file is written."""
    with pytest.raises(ValueError, match=r"a picture is a .png, .svg or .pdf file, not 'a.jpg'"):
        plots.save_curves(grouped(1), tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"there is no value of 'val.acc' by step to draw"):
        plots.save_curves(curves_of([], "val.acc"), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """If matplotlib is not installed, the error names the package to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'podium\[plot\]'"):
        plots.curves_figure(grouped(1))
