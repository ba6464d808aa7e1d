"""Tests of the charts of the page: curves, scatter plots, and files that are saved of them."""

import csv
import io
import math
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import podium
import pytest

from tests.page.browser import Browser
from tests.page.conftest import Server
from tests.page.data import UGLY, record_sweep, record_ugly

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _texts(browser: Browser) -> list[str]:
    """Returns the texts of the first chart as it is saved."""
    picture = ET.fromstring(browser.save("SVG"))  # noqa: S314 - the page's own
    return [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")]


def _arm(name: str, group: str, **values: podium.Value) -> podium.ArmResult:
    config = podium.RunConfig(name, algorithm=podium.Component("sft", values))
    return podium.ArmResult(name, config, "completed", group_name=group)


def test_curves_of_groups(server: Server, browser: Browser) -> None:
    """Curves of groups have the means and intervals of `curve(by_group=True)`.

    The page shows how many arms of a group failed, and lists the failed arm among the arms.
    """
    values = {"a0": [0.1, 0.5, 0.7], "a1": [0.2, math.nan, 0.9], "a2": [0.4, 0.45], "b0": [0.3]}
    with podium.Client(server.address) as client:
        experiment = client.experiment("sweep")
        experiment.declare(success_metric="val.acc")
        for name, scores in values.items():
            arm = _arm(name, name[0], lr=0.1)
            arm.evals = [
                podium.EvalResult("val", metrics={"acc": value}, step=10 * step)
                for step, value in enumerate(scores)
            ]
            experiment.record_arm(arm)
        failed = _arm("a3", "a", lr=0.1)
        failed.status = podium.ArmStatus.FAILED
        failed.evals = [podium.EvalResult("val", metrics={"acc": 9.0}, step=0)]
        experiment.record_arm(failed)
        expected = {
            (curve.name, point.step): point
            for curve in experiment.curve("val.acc", by_group=True).curves
            for point in curve.points
        }
    browser.open(server.url, experiment="sweep", view="curves")
    browser.sees("val · acc by step: mean and 95 % interval", "3 of 4, 1 failed", "(1 NaN)")
    found = _table(browser.save("CSV"))
    assert [(row["name"], int(row["step"])) for row in found] == list(expected)
    for row, point in zip(found, expected.values(), strict=True):
        own = point.statistics
        assert (int(row["n"]), int(row["nan"])) == (own.n, point.nan)
        for key, value in (("val · acc", own.mean), ("ci_low", own.ci_low)):
            assert (float(row[key]) if row[key] else None) == pytest.approx(value)
    browser.click("Arms")
    browser.sees("a3", "failed", "all 3")


def test_curves_by_time(server: Server, browser: Browser) -> None:
    """In a curve by time, x is the number of seconds from the start of the arm to the row."""
    with podium.Client(server.address) as client:
        client.experiment("timed").declare(success_metric="val.acc")
        config = podium.RunConfig("a")
        events = [
            podium.events.arm_started("a", config, podium.Attempt("one", 1), event_time=_BEGIN),
            *(
                podium.events.eval_recorded(
                    "a",
                    podium.EvalResult("val", metrics={"acc": step / 7}, step=step),
                    attempt_id="one",
                    event_time=_BEGIN + timedelta(minutes=step),
                )
                for step in range(3)
            ),
        ]
        client.record("timed", events)
    browser.open(server.url, experiment="timed", view="curves", x="time")
    browser.sees("val · acc by time since the start of the arm")
    assert [float(row["x"]) for row in _table(browser.save("CSV"))] == [0, 60, 120]


def test_smoothing_only_when_asked(server: Server, browser: Browser) -> None:
    """Lines are smoothed only if the URL asks for it, and the page says whether they are.

    A CSV file that is saved has the recorded values in both cases.
    """
    with podium.Client(server.address) as client:
        record_sweep(client)
    browser.open(server.url, experiment="nlp/sweep", view="curves", lines="arm")
    browser.sees("Lines are not smoothed.", "all 3")
    recorded = browser.save("CSV")
    browser.open(server.url, experiment="nlp/sweep", view="curves", lines="arm", smooth="0.6")
    browser.sees("Lines are smoothed (exponential mean with the weight 0.6)", "all 3")
    assert browser.save("CSV") == recorded


def test_scatter_of_numbers(server: Server, browser: Browser) -> None:
    """The scatter view draws scores of completed arms against a value of the configuration.

    The axis has a label for each value. A table has the mean score of each value, and the page says
    how many arms are left out.
    """
    with podium.Client(server.address) as client:
        record_sweep(client)
    browser.open(server.url, experiment="nlp/sweep", view="scatter")
    browser.sees("one dot for each completed arm", "4 arms shown. Not shown: 1 not completed.")
    assert browser.rows() == [
        ["8", "2", "0.7010", "0.6883 to 0.7137", "0.7000", "0.7020"],
        ["64", "2", "0.9010", "0.8883 to 0.9137", "0.9000", "0.9020"],
    ]
    assert {"8", "64"} <= (texts := set(_texts(browser)))
    assert not texts & {"10", "20", "30", "40", "50", "60"}
    found = _table(browser.save("CSV"))
    assert {(row["arm"], row["algorithm.params.width"], row["test.acc"]) for row in found} == {
        ("small_0", "8", "0.7"),
        ("small_1", "8", "0.702"),
        ("wide_0", "64", "0.9"),
        ("wide_1", "64", "0.902"),
    }


def test_scatter_of_numbers_close_together(server: Server, browser: Browser) -> None:
    """Labels that would overlap are left out. On a log scale, which has room, all are shown."""
    with podium.Client(server.address) as client:
        experiment = client.experiment("close")
        experiment.declare(success_metric="m")
        for value in (3, 4, 3000):
            arm = _arm(f"a{value}", "g", size=value)
            arm.metrics = {"m": value / 10_000 + 0.5}
            experiment.record_arm(arm)
    for scale, labels in (("0", {"3", "3,000"}), ("1", {"3", "4", "3,000"})):
        browser.open(server.url, experiment="close", view="scatter", logx=scale)
        browser.sees("3 arms shown.")
        assert {text for text in _texts(browser) if text[0] in "1234"} == labels


def test_scatter_of_texts(server: Server, browser: Browser) -> None:
    """If values are strings, the table has a row for each of them.

    Arms without a value are in the row `not set`.
    """
    with podium.Client(server.address) as client:
        experiment = client.experiment("texts")
        experiment.declare(success_metric="m")
        for name, values in {"a": {"opt": "sgd"}, "b": {"opt": "adam"}, "c": {}}.items():
            arm = _arm(name, "g", **values)
            arm.metrics = {"m": 1.0}
            experiment.record_arm(arm)
    browser.open(server.url, experiment="texts", view="scatter")
    browser.sees("3 arms shown.")
    assert [row[:3] for row in browser.rows()] == [
        ["adam", "1", "1"],
        ["not set", "1", "1"],
        ["sgd", "1", "1"],
    ]


def test_charts_are_saved_as_pictures(server: Server, browser: Browser) -> None:
    """Each chart is saved as a PNG, and as an SVG that is valid XML even with ugly names."""
    with podium.Client(server.address) as client:
        record_ugly(client)
        [experiment] = [each.name for each in client.experiments()]
    for view in (
        {"by": "arm"},
        {"view": "curves"},
        {"view": "scatter"},
        {"arm": UGLY[0]},
    ):
        browser.open(server.url, experiment=experiment, **view)
        browser.sees("Save:")
        picture = ET.fromstring(browser.save("SVG"))  # noqa: S314 - the page's own
        texts = [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")]
        assert any("<img src=x" in text or text == "number" for text in texts), view
        assert not list(picture.iter("{http://www.w3.org/2000/svg}img"))
        width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
        kind, _, size = browser.save("PNG").partition(" ")
        assert kind == "image/png"
        assert [int(each) for each in size.split("x")] == pytest.approx(
            [2 * width, 2 * height], abs=2
        )
