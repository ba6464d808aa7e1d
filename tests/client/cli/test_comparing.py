"""Tests of `podium compare`: its table, its JSON and its warnings."""

import json

import podium as library
import pytest

from tests.client.cli.shell import podium


@pytest.fixture(scope="module")
def sweep(address: str) -> str:
    """Returns the name of an experiment with two groups of seeds. In one group, an arm failed."""
    with library.Client(address) as client:
        experiment = client.experiment("compared")
        experiment.declare()
        for group, scores in [("wide", (0.5, 0.6, 0.7)), ("narrow", (0.2, 0.4))]:
            for seed, score in enumerate(scores):
                experiment.record_arm(_arm(group, seed, score))
        experiment.record_arm(_arm("narrow", 2, 0.9, "failed", benchmark_id="v2"))
    return "compared"


def _arm(
    group: str, seed: int, score: float, status: str = "completed", benchmark_id: str | None = None
) -> library.ArmResult:
    test = library.EvalResult("test", benchmark_id, {"acc": score}, {"0": score / 2}, tags=["test"])
    config = library.RunConfig(f"{group}{seed}", seed=seed)
    return library.ArmResult(config.name, config, status, evals=[test], group_name=group)


def test_two_groups(address: str, sweep: str) -> None:
    """`podium compare` lists the arms of both groups.

    Each metric has its statistics and Welch's interval.
    """
    done = podium("compare", sweep, "wide", "narrow", address=address)
    assert done == (
        0,
        (
            "  A  group wide: wide0, wide1, wide2\n"
            "  B  group narrow: narrow0, narrow1; left out: narrow2 (failed)\n"
            "\n"
            "METRIC      A    SD     B     SD  A - B  ±95%     P     N\n"
            "test.acc  0.6   0.1   0.3   0.14   +0.3   0.6  0.14  3, 2\n"
            "test[0]   0.3  0.05  0.15  0.071  +0.15   0.3  0.14  3, 2\n"
        ),
        "",
    )


def test_two_arms(address: str, sweep: str) -> None:
    """Two single arms are compared, whatever their status.

    A note says why there are no intervals.
    """
    done = podium("compare", sweep, "wide0", "narrow2", "--eval", "test", address=address)
    assert done == (
        0,
        (
            "  A  arm wide0\n"
            "  B  arm narrow2 (failed)\n"
            "\n"
            "METRIC       A     B  A - B     N  FLAGS\n"
            "test.acc   0.5   0.9   -0.4  1, 1  benchmarks differ\n"
            "test[0]   0.25  0.45   -0.2  1, 1  benchmarks differ\n"
        ),
        (
            "podium: no intervals and p-values: each side needs at least two arms, and their "
            "values must differ\n"
        ),
    )


def test_strict_rejects_a_comparison_with_a_warning(address: str, sweep: str) -> None:
    """`--strict` rejects a comparison that has a warning, and accepts one that has none."""
    line = ["compare", sweep, "wide", "narrow", "--strict"]
    assert podium(*line, address=address).code == 0
    statuses = ["--status", "completed", "--status", "failed"]
    done = podium(*line, *statuses, address=address)
    assert (done.code, done.out) == (2, "")
    assert (
        done.err
        == "podium: the two sides are not comparable: benchmarks differ (test.acc and 1 more)\n"
    )


def test_a_group_with_itself(address: str, sweep: str) -> None:
    """A comparison of a group with itself is rejected, because its p-value would be 1."""
    done = podium("compare", sweep, "wide", "wide", address=address)
    assert done == (
        2,
        "",
        "podium: left and right are both 'wide': give two different arms or groups\n",
    )


def test_as_json(address: str, sweep: str) -> None:
    """With `--json`, numbers have all digits, and each side names its arms and those left out."""
    done = podium("compare", sweep, "wide", "narrow", "--json", address=address)
    found = json.loads(done.out, parse_constant=pytest.fail)
    assert found["right"] == {
        "name": "narrow",
        "is_group": True,
        "arms": {"narrow0": "completed", "narrow1": "completed"},
        "left_out": {"narrow2": "failed"},
        "flags": [],
    }
    assert [metric["breakdown"] for metric in found["metrics"]] == [[], ["0"]]
    assert found["metrics"][0]["left"]["statistics"]["mean"] == pytest.approx(0.6)
    assert found["metrics"][0]["difference"]["p_value"] == pytest.approx(0.1444, abs=1e-4)


def test_nothing_to_compare(address: str, sweep: str) -> None:
    """If no arm has the given eval, a message says that there is nothing to compare.

    An unknown name of an arm or group is an error.
    """
    done = podium("compare", sweep, "wide", "narrow", "--eval", "x", address=address)
    assert (done.code, done.err) == (0, "podium: neither side has a number to compare\n")
    done = podium("compare", sweep, "wide", "nobody", address=address)
    assert (done.code, done.out) == (1, "")
    assert "nobody" in done.err
