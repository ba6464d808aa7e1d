"""Tests of the views of the page, in Chromium."""

import podium
import pytest

from tests.page.browser import Browser
from tests.page.conftest import Server
from tests.page.data import record_sweep

_SPIKE = """
const canvas = document.querySelector("canvas");
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height / 4).data;
let coloured = 0;
for (let at = 0; at < pixels.length; at += 4) {
    const [red, green, blue] = [pixels[at], pixels[at + 1], pixels[at + 2]];
    coloured += Math.max(red, green, blue) - Math.min(red, green, blue) > 80 ? 1 : 0;
}
return coloured;
"""

_PARAGRAPHS = """
return [...document.querySelectorAll("main .verdict, main .about")].map((each) => each.innerText);
"""
_BEST_FITS = """
const cell = document.querySelector("td.best");
const [name, box] = [cell.querySelector(".name"), cell.getBoundingClientRect()];
return name.getBoundingClientRect().right <= box.right && name.scrollWidth <= name.clientWidth;
"""


@pytest.fixture
def sweep(server: Server) -> Server:
    """Returns a server that has the results of `record_sweep`."""
    with podium.Client(server.address) as client:
        record_sweep(client)
    return server


def test_experiments(sweep: Server, browser: Browser) -> None:
    """The list has the status, the arms and the best arm of an experiment, and can be searched."""
    with podium.Client(sweep.address) as client:
        client.experiment("other").declare()
    browser.open(sweep.url)
    browser.sees("nlp/sweep", "0.9020", "wide_1")
    [sweep_row, other] = sorted(browser.rows())
    assert sweep_row[:3] == ["nlp/sweep", "completed", "5 arms · 1 failed"]
    assert other[0] == "other"
    browser.type("input[type=search]", "wider NLP")
    browser.wait(lambda: len(browser.rows()) == 1, "the search keeps one experiment")
    browser.click("nlp/sweep")
    browser.sees("Best group: wide")


def test_a_long_conclusion(server: Server, browser: Browser) -> None:
    """A long conclusion in the list leaves room for the name of the best arm."""
    name = "width128_lr0.05_seed0"
    with podium.Client(server.address) as client:
        experiment = client.experiment("digits/sweep")
        experiment.declare(success_metric="test.accuracy")
        metrics = {"test.accuracy": 0.9733}
        arm = podium.ArmResult(name, podium.RunConfig(name), "completed", metrics=metrics)
        experiment.record_arm(arm)
        experiment.conclude("Wider layers recognise more digits. " * 20)
    browser.open(server.url)
    browser.sees(name, "Wider layers")
    assert browser.run(_BEST_FITS)


def test_leaderboard_of_groups(sweep: Server, browser: Browser) -> None:
    """For each group, the leaderboard has the mean, and the number of arms that are not counted.

    The text above it compares the first two groups and their intervals.
    """
    browser.open(sweep.url, experiment="nlp/sweep")
    browser.sees(
        "Best group: wide with 0.9010, by 0.2000 ahead of small.", "intervals do not overlap"
    )
    browser.sees("Scores from test, post-training (4).")
    wide, small = browser.rows()
    assert wide[:3] == ["1", "wide", "0.9010"]
    assert (wide[4], wide[5]) == ("2 of 2", "64")
    assert (small[4].split(), small[5]) == (["2", "of", "3", "1", "failed"], "8")
    [verdict, hypothesis] = browser.run(_PARAGRAPHS)
    assert verdict.startswith("Best group: wide")
    assert hypothesis == "Hypothesis: Wider is better."


def test_the_runs_of_a_group(sweep: Server, browser: Browser) -> None:
    """If only one group is shown, the page does not say that one of its arms is `ahead`.

    A button names the group, and a click on it shows all groups again.
    """
    browser.open(sweep.url, experiment="nlp/sweep")
    browser.click("small")
    browser.sees("These 3 arms are runs of one configuration;")
    browser.sees("the 2 scores lie between 0.7000 and 0.7020.")
    assert [row[1] for row in browser.rows()] == ["small_1", "small_0", "small_2"]
    assert "ahead" not in browser.text()
    browser.click_label("Group: small, remove this filter")
    browser.sees("by 0.0020 ahead of wide_0. Both are runs of one group")
    assert "Group:" not in browser.text()


def test_the_runs_of_a_large_group(server: Server, browser: Browser) -> None:
    """The page names the range of the scores of all arms of a group, even of those out of sight."""
    with podium.Client(server.address) as client:
        client.experiment("large").declare(success_metric="m")
        arms = [
            podium.ArmResult(
                f"arm_{n}",
                podium.RunConfig(f"arm_{n}", algorithm=podium.Component("sft", {"n": n})),
                "completed",
                metrics={"m": float(n)},
                group_name="g",
            )
            for n in range(120)
        ]
        client.record("large", [podium.events.arm_recorded(arm) for arm in arms])
    browser.open(server.url, experiment="large", by="arm", group="g")
    browser.sees("These 120 arms are runs of one group; their scores lie between 0 and 119.")


def test_the_progress_of_an_experiment(sweep: Server, browser: Browser) -> None:
    """Beside the experiment's name, the page shows the current number of arms with each status."""
    browser.open(sweep.url, experiment="nlp/sweep")
    browser.sees("Arms: 4 completed, 1 failed", "connected")
    with podium.Client(sweep.address) as client:
        client.experiment("nlp/sweep").arm("small_2").delete()
    browser.sees("Arms: 4 completed\n")


def test_leaderboard_of_arms(sweep: Server, browser: Browser) -> None:
    """Arms can be filtered by values of the configuration. The URL contains the filter.

    The table has the columns that the URL adds.
    """
    browser.open(sweep.url, experiment="nlp/sweep", by="arm")
    browser.sees("Best arm: wide_1")
    assert [row[0] for row in browser.rows()] == ["1", "2", "3", "4"]
    assert "test, post-training" in browser.rows()[0]
    browser.click("failed")
    browser.sees("5 arms", "1 without a score")
    browser.type("input[type=search]", "width=64 seed=1")
    browser.wait(lambda: len(browser.rows()) == 1, "the filter keeps one arm")
    browser.click("Columns")
    browser.sees("Config values that differ", "val.acc")
    found = browser.run("return location.hash.slice(1)")
    browser.open(sweep.url, view="curves")
    browser.driver.get(f"{sweep.url}/#{found}&column=algorithm.params.width&column=metric:loss")
    browser.driver.refresh()
    browser.wait(lambda: [row[1] for row in browser.rows()] == ["wide_1"], "the same arm")
    browser.wait(lambda: browser.rows()[0][5:7] == ["64", "0.0980"], "the columns of the URL")


def test_another_metric_and_direction(sweep: Server, browser: Browser) -> None:
    """The page ranks by the metric and the direction that the user chooses."""
    browser.open(sweep.url, experiment="nlp/sweep", by="arm", metric="loss", better="min")
    browser.sees("Best arm: wide_1 with 0.0980", "Scores from training metrics (4).")
    browser.click("Higher is better")
    browser.sees("Best arm: small_0 with 0.3000")
    browser.type("input.metric", "val.acc")
    browser.sees("Scores from val, in-loop (4).")


def test_curves_of_selected_arms(sweep: Server, browser: Browser) -> None:
    """The selected arms are drawn, and a table has the numbers of each line."""
    browser.open(sweep.url, experiment="nlp/sweep", by="arm")
    browser.sees("Best arm: wide_1")
    browser.run("document.querySelector('[aria-label=\"Select wide_1\"]').click()")
    browser.run("document.querySelector('[aria-label=\"Select small_0\"]').click()")
    browser.click("Curves of 2 selected")
    browser.sees("val · acc by step", "all 3")
    rows = [[row[0], *row[2:]] for row in browser.rows()]
    assert rows == [
        ["wide_1", "0.9020", "0.7020", "0.9020", "all 3"],
        ["small_0", "0.7000", "0.5000", "0.7000", "all 3"],
    ]
    browser.click("Logarithmic")
    browser.wait(lambda: "log=1" in browser.run("return location.hash"), "the scale is in the URL")


def test_a_spike_is_never_lost(server: Server, browser: Browser) -> None:
    """Of 20,001 points, fewer than half are drawn. The only high value is among them."""
    with podium.Client(server.address) as client:
        experiment = client.experiment("long")
        experiment.declare(success_metric="loss")
        config = podium.RunConfig("a")
        with experiment.start_arm(config) as arm:
            arm.log({"loss": 0.0}, step=0)
        events = [
            podium.events.metrics_recorded(
                "a", {"loss": 100.0 if step == 12_345 else 1.0}, step=step
            )
            for step in range(1, 20_001)
        ]
        for first in range(0, len(events), 1_000):
            client.record("long", events[first : first + 1_000])
    browser.open(server.url, experiment="long", view="curves")
    browser.sees("loss (training) by step", "of 20,001 points")
    [[_, _, last, least, most, points]] = browser.rows()
    assert (last, least, most) == ("1", "0", "100")
    assert int(points.split()[0].replace(",", "")) < 10_000
    browser.wait(lambda: browser.run(_SPIKE) > 20, "the spike is drawn in the upper quarter")


def test_arm(sweep: Server, browser: Browser) -> None:
    """The view of an arm has its evals, breakdowns, artifacts, configuration and error.

    Beside each value of the configuration are the values that other arms have.
    """
    browser.open(sweep.url, experiment="nlp/sweep", arm="wide_0")
    browser.sees("Evals (4)", "primary", "Breakdowns of test", "Artifacts", "s3://b/w")
    assert ["law", "0.2500"] in [row[:2] for row in browser.rows()]
    config = {row[0]: row[1:] for row in browser.rows()}
    assert config["algorithm.params.width"] == ["64", "8 × 3"]  # noqa: RUF001
    assert config["algorithm.params.lr"] == ["0.1", "equal in all arms"]
    assert browser.run("return document.querySelector('dd a').href") == "https://example.org/r"
    browser.open(sweep.url, experiment="nlp/sweep", arm="small_2")
    browser.sees("failed", "RuntimeError: diverged", "No eval row has been recorded.")


def test_what_does_not_exist(sweep: Server, browser: Browser) -> None:
    """The page says if an experiment or an arm does not exist.

    For an unknown metric, it lists the groups and shows `no mean`.
    """
    browser.ignore("404")
    browser.open(sweep.url, experiment="nothing")
    browser.sees("There is no such experiment or arm")
    browser.open(sweep.url, experiment="nlp/sweep", arm="nothing")
    browser.sees("There is no such experiment or arm")
    browser.open(sweep.url, experiment="nlp/sweep", metric="nothing")
    browser.sees("2 groups.", "no mean")


def test_many_arms(server: Server, browser: Browser) -> None:
    """Of 2,500 arms only the rows in sight are in the document, and the last one can be reached."""
    with podium.Client(server.address) as client:
        experiment = client.experiment("many")
        experiment.declare(success_metric="m")
        arms = [
            podium.ArmResult(
                f"arm_{n}", podium.RunConfig(f"arm_{n}"), "completed", metrics={"m": -float(n)}
            )
            for n in range(2_500)
        ]
        for first in range(0, len(arms), 500):
            part = arms[first : first + 500]
            client.record("many", [podium.events.arm_recorded(arm) for arm in part])
    browser.open(server.url, experiment="many")
    browser.sees("2,500 arms", "arm_0")
    assert len(browser.rows()) < 100
    end = "const box = document.querySelector('.scroll'); box.scrollTop = box.scrollHeight;"
    browser.wait(lambda: browser.run(end) or "arm_2499" in browser.text(), "the last arm")
    assert len(browser.rows()) < 100


_FIRST_IN_SIGHT = """
const box = document.querySelector(".scroll");
const head = box.querySelector("th").getBoundingClientRect().bottom;
return [...box.querySelectorAll("tbody tr:not(.space)")]
    .find((row) => row.getBoundingClientRect().bottom > head + 1)?.cells[1].innerText.trim();
"""


def test_visible_rows_do_not_move(server: Server, browser: Browser) -> None:
    """If a row above the visible rows appears or disappears, the visible rows do not move."""
    with podium.Client(server.address) as client:
        experiment = client.experiment("many")
        experiment.declare(success_metric="m")
        arms = [
            podium.ArmResult(
                f"arm_{n}", podium.RunConfig(f"arm_{n}"), "completed", metrics={"m": -float(n)}
            )
            for n in range(200)
        ]
        client.record("many", [podium.events.arm_recorded(arm) for arm in arms])
        browser.open(server.url, experiment="many")
        browser.sees("200 arms", "arm_0", "connected")
        browser.run("document.querySelector('.scroll').scrollTop = 60 * 36")
        browser.wait(lambda: browser.run(_FIRST_IN_SIGHT) == "arm_60", "arm_60 is in sight")
        new = podium.ArmResult("new", podium.RunConfig("new"), "completed", metrics={"m": 9.0})
        experiment.record_arm(new)
        browser.sees("201 arms", "Best arm: new")
        assert browser.run(_FIRST_IN_SIGHT) == "arm_60"
        experiment.arm("new").delete()
        browser.sees("200 arms", "Best arm: arm_0")
        assert browser.run(_FIRST_IN_SIGHT) == "arm_60"


def test_print(sweep: Server, browser: Browser) -> None:
    """A printed view has the result, but no buttons."""
    browser.open(sweep.url, experiment="nlp/sweep")
    browser.sees("Best group: wide", "Save:")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        browser.wait(lambda: "Save:" not in browser.text(), "the buttons are gone")
        text = browser.text()
        assert "Best group: wide with 0.9010" in text
        assert not any(
            each in text for each in ("Curves", "Columns", "Higher is better", "connected")
        )
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_compare_selected(sweep: Server, browser: Browser) -> None:
    """With `Only selected`, the table has only the selected arms.

    It has columns only for those values of the configuration that differ between these arms.
    """
    browser.open(sweep.url, experiment="nlp/sweep", by="arm", pick=["small_0", "small_1"])
    browser.sees("Curves of 2 selected", "seed\twidth")
    browser.click("Only selected")
    browser.sees("2 arms of 4 match", "From\tseed\tStatus")
    assert [row[1] for row in browser.rows()] == ["small_1", "small_0"]
    browser.click("Clear")
    browser.sees("4 arms", "seed\twidth")


def test_rank_by_a_column(sweep: Server, browser: Browser) -> None:
    """A click on the head of a metric's column ranks the arms by this metric."""
    browser.open(sweep.url, experiment="nlp/sweep", by="arm", column=["metric:loss"])
    browser.sees("Best arm: wide_1 with 0.9020")
    browser.click("loss")
    browser.sees("Best arm: small_0 with 0.3000")


def test_a_group_has_one_color(sweep: Server, browser: Browser) -> None:
    """The leaderboard and the curves show a group in the same colour, even after a filter."""
    color = "return [...document.querySelectorAll('tbody tr')].filter((row) => "
    color += "row.innerText.includes('small')).map((row) => getComputedStyle("
    color += "row.querySelector('.swatch, .sample line')).backgroundColor)"
    found = []
    for view in ({}, {"q": "small"}, {"view": "curves"}, {"view": "curves", "pickgroup": "small"}):
        browser.open(sweep.url, experiment="nlp/sweep", **view)
        browser.wait(browser.rows, "a table")
        found.append(browser.run(color))
    assert found == [["rgb(0, 114, 178)"]] * 4
