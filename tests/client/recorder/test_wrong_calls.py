"""Tests of recorder calls with wrong or large arguments, and of the warnings about them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest

from tests.client.recorder.looking import told
from tests.sparse import sparse

CONFIG = podium.RunConfig("arm", seed=0)


@pytest.mark.parametrize(
    "call",
    sparse(
        [
            lambda experiment, _: experiment.start_arm(),
            lambda experiment, _: experiment.start_arm(CONFIG, name="other", group="g"),
            lambda experiment, _: experiment.arm(),
            lambda experiment, _: experiment.record_arm(),
            lambda experiment, _: experiment.conclude(),
            lambda experiment, _: experiment.conclude("a", "b"),
            lambda experiment, _: experiment.flush(1, 2, 3),
            lambda _, arm: arm.log(),
            lambda _, arm: arm.log({"a": 1}, stp=3),
            lambda _, arm: arm.log("loss", 0.3, 1),
            lambda _, arm: arm.log_eval("val"),
            lambda _, arm: arm.log_eval("val", {"n": 1}, 100, metrics={}),
            lambda _, arm: arm.log_eval(pass_rate=0.5),
            lambda _, arm: arm.evaluating(),
            lambda _, arm: arm.evaluating("val", 100, "x", "y", "z", "too many"),
            lambda _, arm: arm.evaluating("val").log(),
            lambda _, arm: arm.evaluating("val").log({"n": 1}, {"b": 1}, 3),
            lambda _, arm: arm.finish(reason="done"),
            lambda _, arm: arm.flush(seconds=1),
        ],
        3,
    ),
)
def test_a_wrong_signature(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    call: Callable[..., Any],
) -> None:
    """A call with arguments that its method does not accept causes a warning.

    Later calls are recorded. With strict, the call raises TypeError.
    """
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        call(experiment, arm)
        assert "argument" in told(caplog)[0] or "twice" in told(caplog)[0]
        assert "test_wrong_calls.py:" in told(caplog)[0]
        assert not arm.flush(60).pending
        assert not experiment.flush(60).durable
        arm.log({"after": 1})
    assert client.arm(name, "arm").score("after") == 1.0
    with (
        record(name, strict=True) as experiment,
        experiment.start_arm(CONFIG, restart=True) as arm,
        pytest.raises(TypeError),
    ):
        call(experiment, arm)


def test_record_with_a_wrong_signature(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If `record` gets an argument that it does not have, a warning names the argument.

    With strict, `record` raises TypeError. If it gets no name, it generates one.
    """
    with record(name, project="p", offline=True) as experiment:
        assert experiment.name == name
    assert "there is no argument 'project'" in told(caplog)[0]
    with record(offline=True) as experiment:
        assert experiment.name.startswith("unnamed/")
    with pytest.raises(TypeError, match="project"):
        record(name, project="p", strict=True)


def test_positions_are_taken_for_names(record: Any, client: podium.Client, name: str) -> None:
    """The name of an arm, and the step and the tags of a row, can be given by position."""
    with record(name) as experiment, experiment.start_arm(CONFIG, "other") as arm:
        arm.log_eval("val", {"n": 1}, 100, ["t"])
    assert list(client.arm(name, "other").evals()) == [
        podium.EvalResult("val", metrics={"n": 1}, step=100, tags=["t"])
    ]


@pytest.mark.slow
def test_a_large_config(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a value in a RunConfig exceeds a limit, the value is shortened, and a warning names it.

    The other values stay as they are.
    """
    config = podium.RunConfig(
        "arm",
        data=podium.DataConfig("path", path="p" * 70_000),
        algorithm=podium.Component(
            "sft",
            {
                "rank": 4,
                "ids": list(range(10_001)),
                "prompt": "q" * 1_200_000,
                "deep": {"1": {"2": {"3": {"4": {"5": {"6": {"7": {"8": 9}}}}}}}},
                "k" * 300: 1,
            },
        ),
        eval={str(number): number for number in range(1_100)},
        seed=7,
        tags=["t" * 300, "fine"],
    )
    with record(name) as experiment, experiment.start_arm(config) as arm:
        arm.log({"loss": 1})
        assert arm.flush(60).rejected == 0
        assert not experiment.flush(60).durable
    (line,) = told(caplog)
    for field in ("data.path", "['ids']", "['prompt']", "['7']", "tags[0]", "eval has 1,100 keys"):
        assert f"run_config.{field}" in line or field in line, field
    got = client.arm(name, "arm").get()
    assert got.metrics == {"loss": 1.0}
    kept = got.run_config
    assert kept.algorithm is not None
    assert (kept.seed, kept.tags[1], kept.algorithm.params["rank"]) == (7, "fine", 4)
    assert kept.algorithm.params["ids"][:9_000] == list(range(9_000))
    assert len(kept.algorithm.params["prompt"]) > 100_000
    assert sorted(kept.eval.values()) == list(range(1_000))
    assert kept.data is not None
    assert kept.data.path is not None
    assert len(kept.data.path.encode()) in range(65_530, 65_537)


def test_many_metrics(record: Any, client: podium.Client, name: str) -> None:
    """An arm keeps new values of its known keys, and new keys up to 1,000 in total."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({f"k{number}": 0 for number in range(900)})
        arm.log({"k0": 1, **{f"new{number}": 1 for number in range(200)}})
        arm.log({"k1": 2, "new150": 2})
        arm.log_eval("many", {f"k{number}": number for number in range(1_500)})
        assert arm.flush(60).rejected == 0
        assert arm.flush(60).incomplete == 3
    got = client.arm(name, "arm").get()
    assert len(got.metrics) == 1_000
    assert [got.metrics.get(key) for key in ("k0", "k1", "new99")] == [1.0, 2.0, 1.0]
    assert [got.metrics.get(key) for key in ("new100", "new150")] == [None, None]
    assert len(got.evals[0].metrics) == 1_000


def test_a_large_whole_arm(record: Any, client: podium.Client, name: str) -> None:
    """A whole arm that exceeds the limits of one call is stored completely."""
    rows = [
        podium.EvalResult("val", metrics={f"m{n}": step for n in range(10)}, step=step)
        for step in range(1_500)
    ]
    whole = podium.ArmResult("arm", CONFIG, "completed", evals=rows)
    with record(name) as experiment:
        experiment.record_arm(whole)
        assert experiment.flush(60).durable
    assert client.arm(name, "arm").get() == whole


def test_each_problem_is_in_one_warning(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning about a call names the wrong keys that no earlier warning has named.

    When the recorder is closed, a line for each repeated key counts its repetitions.
    """
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        for number in range(20):
            arm.log({f"bad{number % 10}": "x", "also": None, "good": number})
        arm.log_eval("test", {"acc": 1, "late": "x"}, tags=["test"])
    lines = told(caplog)
    assert "metrics['bad0']" in lines[0]
    assert "metrics['also']" in lines[0]
    assert [f"metrics['bad{number}']" in lines[number] for number in range(10)] == [True] * 10
    assert "metrics['late']" in lines[10]
    assert lines[11] == "podium: log: metrics['bad0'] left out: 1 more time, in arm 'arm'"
    assert lines[12] == "podium: log: metrics['also'] left out: 19 more times, in arm 'arm'"
    assert len(lines) == 11 + 11
    assert client.arm(name, "arm").get().metrics == {"good": 19.0}


def test_a_warning_names_the_arm_and_the_value(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the line of the call, the arm and the value, and says what became of it.

    When the recorder is closed, further lines name the other arms with the same problem.
    """
    with record(name) as experiment:
        for arm_name in ("a", "b", "c"):
            with experiment.start_arm(CONFIG, name=arm_name) as arm:
                arm.log({"loss": "high"})
                arm.log_eval("val", {}, stp=3)
    assert all(f"{Path(__file__).name}:" in line for line in told(caplog)[:2])
    warnings = [re.sub(r"\S+\.py:\d+: ", "", line) for line in told(caplog)]
    arm_a = f"arm 'a' of {name!r}"
    assert warnings == [
        f"podium: log of {arm_a}: metrics['loss'] must be a number, not str; 'high' is left out",
        (
            f"podium: log_eval of {arm_a}: there is no argument 'stp' (did you mean 'step'?); "
            "3 is left out"
        ),
        "podium: log: metrics['loss'] left out: 2 more times, in arms 'b', 'c'",
        "podium: log_eval: stp left out: 2 more times, in arms 'b', 'c'",
    ]


def test_all_near_arguments_are_named(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If an unknown argument resembles several valid ones, the warning names them all."""
    with record(name) as experiment, experiment.start_arm(CONFIG, name="a", group="g"):
        pass
    assert "(did you mean 'group_id' or 'group_name'?); 'g' is left out" in told(caplog)[0]


def test_another_error_of_a_field_is_new(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a field is wrong in a second way, a second warning is logged."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": "high"})
        arm.log({"loss": 10**400})
        assert [line.split("; ")[-1] for line in told(caplog)] == [
            "'high' is left out",
            f"1{'0' * 27}...{'0' * 29} is left out",
        ]


def test_a_run_config_without_a_name_gets_the_name_of_its_arm(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A RunConfig without a name gets the name of its arm, with a warning."""
    with record(name) as experiment:
        with experiment.start_arm(podium.RunConfig("")) as unnamed:
            assert unnamed.flush(60).durable
        with experiment.start_arm(podium.RunConfig("", seed=3), name="given") as given:
            assert given.flush(60).durable
        experiment.record_arm(podium.ArmResult("whole", podium.RunConfig(""), "completed"))
        assert experiment.flush(60).durable
    lines = [re.sub(r"^podium: \S+: ", "", line) for line in told(caplog)]
    start = f"start_arm of arm {unnamed.name!r} of {name!r}: the arm has no name"
    assert lines == [
        f"{start}; it is recorded as {unnamed.name!r}",
        f"start_arm of arm 'given' of {name!r}: run_config has no name; it is recorded as 'given'",
        f"record_arm of arm 'whole' of {name!r}: run_config has no name; it is recorded as 'whole'",
    ]
    names = {arm.name: arm.run_config.name for arm in client.experiment(name).arms()}
    assert names == {item: item for item in (unnamed.name, "given", "whole")}


def test_a_name_for_a_run_config(record: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A string in place of a RunConfig names the arm. One warning explains that."""
    with record(name) as experiment, experiment.start_arm("a\nb") as arm:
        assert arm.name == "ab"
    (line,) = told(caplog)
    text = r"run_config is 'a\nb' and not a RunConfig; it is used as the name 'ab'"
    assert line.endswith(f"start_arm of arm 'ab' of {name!r}: {text}")


def test_a_name_that_is_missing(
    record: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An experiment without a name gets a generated name, and one warning shows it."""
    with record("", outbox=tmp_path / "outbox", offline=True):
        (line,) = told(caplog)
    assert line.count("name is") == 1
    assert "record: name is ''; the experiment is named 'unnamed/" in line


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("fail", "failed"),
        ("FAILED", "failed"),
        ("canceled", "cancelled"),
        ("complete", "completed"),
    ],
)
def test_a_misspelt_status(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    given: str,
    recorded: str,
) -> None:
    """If a status is misspelt, the nearest status is recorded. A warning names both."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.finish(given)
    assert client.arm(name, "arm").get().status == recorded
    (line,) = told(caplog)
    assert repr(given) in line
    assert recorded in line


def test_an_outbox_that_is_not_a_path(
    record: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If `outbox` is not a path, PODIUM_OUTBOX is used, without the newline at its end."""
    monkeypatch.setenv("PODIUM_OUTBOX", f"{tmp_path}/environment\n")
    with record(name, outbox=3, offline=True) as experiment:
        assert experiment.outbox.is_relative_to(tmp_path / "environment")
    text = "outbox must be a path, not int (TypeError); the default folder is used"
    assert told(caplog)[0].endswith(text)
