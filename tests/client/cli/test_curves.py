"""Tests of `podium curve`: its charts, tables, pictures and JSON."""

import json
from pathlib import Path

import podium as library
import pytest
from podium.cli._chart import Series, chart, spark

from tests.client.cli.shell import on_terminal, podium

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def sweep(address: str) -> str:
    """Returns the name of an experiment with two groups and two other arms.

    One of these arms has no in-loop rows, and the other one failed.
    """
    with library.Client(address) as client:
        experiment = client.experiment("curved")
        experiment.declare()
        for group, slope in [("steep", 0.02), ("flat", 0.005)]:
            for seed in range(2):
                experiment.record_arm(_arm(f"{group}{seed}", slope + seed / 1000, group))
        experiment.record_arm(_arm("bad", 1.0, None, "failed"))
        config = library.RunConfig("none")
        experiment.record_arm(library.ArmResult("none", config, "completed"))
    return "curved"


def _arm(
    name: str, slope: float, group: str | None, status: str = "completed"
) -> library.ArmResult:
    rows = [library.EvalResult("val", metrics={"acc": slope * k}, step=10 * k) for k in range(5)]
    config = library.RunConfig(name)
    return library.ArmResult(name, config, status, evals=rows, group_name=group)


def test_groups(address: str, sweep: str) -> None:
    """`podium curve` prints a chart with a letter for each group, and a table of last points."""
    done = podium("curve", sweep, "val.acc", "--by-group", address=address)
    assert done.code == 0
    *drawn, blank, header, steep, flat = done.out.splitlines()
    assert (blank, header.split()) == ("", ["GROUP", "STEP", "MEAN", "±95%", "N", "CURVE"])
    assert steep.split() == ["a", "steep", "40", "0.082", "0.025", "2", "▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▇▇▇████"]
    assert flat.split()[:6] == ["b", "flat", "40", "0.022", "0.025", "2"]
    assert len(drawn) == 18
    assert drawn[0].endswith("·a")
    assert done.err == (
        "podium: not drawn, without values of val.acc by step: none\n"
        "podium: left out because of their status: bad (failed); --status includes them\n"
    )


def test_arms_by_name(address: str, sweep: str) -> None:
    """Arms given by name are drawn, whatever their status. No note names the other arms."""
    done = podium("curve", sweep, "val.acc", "bad", "flat0", address=address)
    assert (done.code, done.err) == (0, "")
    rows = [line.split()[:4] for line in done.out.splitlines()[-2:]]
    assert rows == [["a", "flat0", "40", "0.02"], ["b", "bad", "40", "4"]]


def test_an_option_between_arguments(address: str, sweep: str) -> None:
    """The names of arms or groups may also stand after an option."""
    done = podium("curve", sweep, "val.acc", "--by-group", "steep", address=address)
    assert done.code == 0
    assert done == podium("curve", sweep, "val.acc", "steep", "--by-group", address=address)


def test_no_arms(address: str, name: str) -> None:
    """If an experiment has no arms, a note says so."""
    assert podium("curve", name, "val.acc", address=address) == (0, "", "podium: no arms\n")


def test_as_json(address: str, sweep: str) -> None:
    """With `--json`, each point of a curve has its statistics."""
    done = podium("curve", sweep, "val.acc", "steep", "--by-group", "--json", address=address)
    (curve,) = json.loads(done.out, parse_constant=pytest.fail)["curves"]
    assert (curve["name"], curve["arms"]) == ("steep", ["steep0", "steep1"])
    assert curve["points"][0] == {
        "step": 0,
        "statistics": {
            "n": 2,
            "mean": 0.0,
            "sd": 0.0,
            "standard_error": 0.0,
            "ci_low": 0.0,
            "ci_high": 0.0,
            "min": 0.0,
            "max": 0.0,
        },
        "nan": 0,
    }


def test_a_picture(address: str, sweep: str, tmp_path: Path) -> None:
    """`--output` writes a picture instead of the chart, and prints the name of the file."""
    file = tmp_path / "val.svg"
    line = ["curve", sweep, "val.acc", "steep", "--by-group", "--title", "Title"]
    done = podium(*line, "--output", str(file), address=address)
    assert done == (0, "", f"podium: {file} is written\n")
    assert file.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["val.acc", "nobody"], 1, "has no arm 'nobody'"),
        (["val.acc", "--output", "a.jpg"], 2, "a picture is a .png, .svg or .pdf file, not"),
        (["val.acc", "--output", "no/such/a.png"], 2, "no/such/a.png cannot be written: No such"),
        (["x.y", "--output", "a.png"], 2, "there is no value of 'x.y' by step to draw"),
    ],
)
def test_curves_that_cannot_be_read_drawn_or_written(
    address: str, sweep: str, arguments: list[str], code: int, expected: str
) -> None:
    """A curve that cannot be read, drawn or written is an error of one line."""
    done = podium("curve", sweep, *arguments, address=address)
    assert (done.code, done.out) == (code, "")
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_nothing_to_draw(address: str, sweep: str) -> None:
    """If no arm has a curve of the metric, the error says so and suggests a similar metric."""
    done = podium("curve", sweep, "test.acc", address=address)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("podium: no arm has a curve of 'test.acc' (values with steps)\n")
    assert "not drawn" not in done.err
    done = podium("curve", sweep, "val.ac", address=address)
    expected = "no arm has a curve of 'val.ac' (values with steps); did you mean 'val.acc'?\n"
    assert done.err.endswith(expected)
    assert podium("curve", sweep, "val.ac", "--json", address=address).code == 1


def test_the_first_of_two_equal_curves_is_shown() -> None:
    """If curves overlap, a chart has the letter of the first one."""
    drawn = "".join(chart([Series([0, 9], [1.0, 2.0])] * 2, 40))
    assert drawn.count("a") == 2
    assert "b" not in drawn


def test_the_chart_fits_the_terminal(address: str, sweep: str) -> None:
    """A chart is not wider than the terminal."""
    done = on_terminal("curve", sweep, "val.acc", "--by-group", address=address, columns=50)
    assert max(map(len, done.out.split("podium:")[0].splitlines())) <= 50


def test_without_unicode(address: str, sweep: str) -> None:
    """If stdout accepts only ASCII, the chart is drawn with ASCII characters."""
    line = ["curve", sweep, "val.acc", "--by-group"]
    done = podium(*line, address=address, PYTHONIOENCODING="ascii")
    assert "\\u" not in done.out
    assert "|" in done.out


# ---- The chart itself ----------------------------------------------------------------------


def test_a_chart() -> None:
    """In a chart, points are letters, and dots join them.

    The label beside a line of text is the value at the middle of this line.
    """
    lines = list(chart([Series([0, 10], [0.0, 16.0]), Series([5], [8.0])], 20))
    assert lines[:9] == [
        "15.5 │             a",
        "     │            ·",
        "     │           ·",
        "     │          ·",
        "11.5 │         ·",
        "     │",
        "     │        ·",
        "     │      b·",
        " 7.5 │      ·",
    ]
    assert lines[15:] == [" 0.5 │a", "     └──────────────", "      0           10"]


def test_a_chart_of_one_value_and_of_none() -> None:
    """A single value is drawn as one point. Without values there is no chart."""
    lines = list(chart([Series([3], [0.5])], 30))
    assert [line for line in lines if "a" in line] == ["0.4969 │a"]
    assert (lines[0], lines[-1]) == ("0.5469 │", "        3                    3")
    assert list(chart([Series([], [])], 30)) == []
    assert list(chart([], 30)) == []


def test_a_curve_in_one_line() -> None:
    """The small curves of a table all have the same bounds. Steps without a value are blank."""
    rising, late = Series([0, 7], [0.0, 7.0]), Series([4, 7], [3.5, 3.5])
    both = [rising, late]
    assert spark(rising, both, 8) == "▁▂▃▄▅▆▇█"
    assert spark(late, both, 8) == "    ▅▅▅▅"
    assert spark(rising, both, 8, is_ascii=True) == "_.-=+*%#"
