"""Tests of `podium report`: one file with everything about an experiment."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import podium as library
import pytest

from tests.client.cli.shell import podium

EVIL = "<script>alert(1)</script> | *x* [a](b) @you"
SCORES = {"rank4": (0.5, 0.6, math.nan), EVIL: (0.7, 0.8, 0.9), "x" * 200: (0.1, None, 0.3)}


@pytest.fixture(scope="module")
def reported(address: str) -> str:
    """Returns the name of an experiment with markup in its names and texts.

    It also has NaN, a missing score and a failed arm.
    """
    with library.Client(address) as client:
        experiment = client.experiment("reported")
        experiment.declare(hypothesis="Is <b>4</b> enough?", success_metric="test.acc")
        for group, scores in SCORES.items():
            for seed, score in enumerate(scores):
                _train(experiment, group, seed, score)
        failed = experiment.start_arm(library.RunConfig("broken"), group_name="rank4")
        failed.finish("failed", error="Traceback …\nCUDA out of <memory>")
        failed.annotate(notes="bad | shard")
    return "reported"


def _train(
    experiment: library.ExperimentHandle, group: str, seed: int, score: float | None
) -> None:
    config = library.RunConfig(f"{group[:50]}_{seed}", seed=seed, extras={"lr": 0.1})
    origin = library.Provenance("c0ffee", seed == 0, host="node7", python_version="3.12.4")
    with experiment.start_arm(config, group_name=group, provenance=origin) as arm:
        for step in (0, 10):
            arm.log_eval("val", {"acc": step / 100 + seed / 1000}, step=step)
        if score is not None:
            arm.log_eval("test", {"acc": score}, tags=["test"])


def _written(reported: str, address: str, path: Path, *options: str) -> str:
    done = podium("report", reported, "--output", str(path), *options, address=address)
    assert done == (0, "", f"podium: {path} is written\n")
    return path.read_text(encoding="utf-8")


def test_markdown(reported: str, address: str, tmp_path: Path) -> None:
    """A Markdown report has the ranking, tests, curves, arms left out, and the arms' provenance.

    Recorded texts are escaped.
    """
    text = _written(reported, address, tmp_path / "report.md")
    evil = r"&lt;script&gt;alert(1)&lt;/script&gt; \| \*x\* \[a\](b) &#64;you"
    assert text.startswith("# reported\n\n**Hypothesis:** Is &lt;b&gt;4&lt;/b&gt; enough?\n")
    assert f"| 1 | {evil} | 0.8 | 0.25 | 0.1 | 3 | 0.7 | 0.9 |  |\n" in text
    assert "| 2 | rank4 | 0.55 | 0.64 | 0.071 | 2/4 | 0.5 | 0.6 | 1 NaN, 1 failed |\n" in text
    assert f"## Tests of {evil} against the other groups" in text
    (tested,) = re.findall(r"(?m)^\| rank4 \| \\\+0\.25 \|.*$", text)
    assert tested == r"| rank4 | \+0.25 | 0.25 | 0.049 | 0.099 |"
    assert "| rank4 | 10 | 0.101 | 0.0025 | 3 |" in text
    assert "| broken | rank4 | failed | CUDA out of &lt;memory&gt; | bad \\| shard |\n" in text
    assert "| rank4\\_2 | rank4 | completed | NaN |  |\n" in text
    assert f"| {'x' * 50}\\_1 | {'x' * 200} | completed | without a score |  |\n" in text
    assert "| c0ffee | uncommitted changes | node7 | 3.12.4 |" in text
    assert "## Curve of val.acc" in text


class _Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert all(not (value or "").startswith(("http:", "https:")) for name, value in attrs
                   if name in {"src", "href", "xlink:href"})  # fmt: skip


@pytest.mark.slow
def test_html(reported: str, address: str, tmp_path: Path) -> None:
    """An HTML report has pictures, runs no script, loads nothing, and shows names as they are."""
    text = _written(reported, address, tmp_path / "report.html")
    parser = _Tags()
    parser.feed(text)
    assert {"h1", "table", "svg"} <= parser.tags
    assert parser.tags.isdisjoint({"script", "b4", "img", "link", "iframe"})
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | *x* [a](b) @you" in text
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text


def test_an_experiment_without_anything(address: str, name: str, tmp_path: Path) -> None:
    """The report of an experiment without arms says so. A report without a metric is an error."""
    path = tmp_path / "empty.md"
    done = podium("report", name, "--metric", "acc", "--output", str(path), address=address)
    assert done.code == 0
    assert "acc, maximize: 0 scores" in path.read_text(encoding="utf-8")
    done = podium("report", name, "--output", str(tmp_path / "none.md"), address=address)
    assert done.code == 3
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_no_arm_has(reported: str, address: str, tmp_path: Path) -> None:
    """A misspelt metric or curve is an error that suggests a similar name.

    No file is written.
    """
    for option, text in (
        ("--metric=test.ac", "no arm has a score on 'test.ac'; did you mean 'test.acc'"),
        (
            "--curve=val.ac",
            "no arm has a curve of 'val.ac' (values with steps); did you mean 'val.acc'",
        ),
    ):
        done = podium(
            "report", reported, option, "--output", str(tmp_path / "a.md"), address=address
        )
        assert (done.code, done.out) == (1, "")
        assert text in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_training_metric_without_steps(address: str, name: str, tmp_path: Path) -> None:
    """The report has no curve of a metric without steps, but shows curves of other metrics."""
    with library.Client(address) as client:
        experiment = client.experiment(name)
        rows = [library.EvalResult("val", metrics={"acc": 0.5}, step=1)]
        arm = library.ArmResult("a", library.RunConfig("a"), "completed", {"loss": 0.1}, evals=rows)
        experiment.record_arm(arm)
    text = _written(name, address, tmp_path / "a.md", "--metric", "loss")
    assert re.findall(r"(?m)^## Curve.*$", text) == ["## Curve of val.acc"]


def test_other_suffixes_are_an_error(reported: str, address: str, tmp_path: Path) -> None:
    """The error about another suffix names the suffixes that can be written."""
    done = podium("report", reported, "--output", str(tmp_path / "a.pdf"), address=address)
    assert done.code == 2
    assert "--output must end with .html or .htm or .md" in done.err
