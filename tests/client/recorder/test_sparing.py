"""Tests that training continues with a warning, whatever is wrong with its calls."""

import os
import signal
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._recorder import stream

from tests.client.recorder.looking import told
from tests.client.sender.outboxes import until

CONFIG = podium.RunConfig("arm")


class Broken:
    """A number whose conversion to float raises, as on a GPU that has failed."""

    def __float__(self) -> float:
        raise RuntimeError("device-side assert triggered")


BAD_LOGS: dict[str, tuple[Callable[[podium.ArmRecording], object], dict[str, float]]] = {
    "a text": (lambda arm: arm.log({"a": 1, "b": "0.3"}), {"a": 1.0}),  # type: ignore[dict-item]
    "no numbers at all": (lambda arm: arm.log({"b": "0.3"}), {}),  # type: ignore[dict-item]
    "a broken device": (lambda arm: arm.log({"a": 1, "b": Broken()}), {"a": 1.0}),
    "an empty key": (lambda arm: arm.log({"": 1, "a": 2}), {"a": 2.0}),
    "a key that is no text": (lambda arm: arm.log({5: 1, "a": 2}), {"5": 1.0, "a": 2.0}),  # type: ignore[dict-item]
    "a lone surrogate": (
        lambda arm: arm.log({"\ud800": 1, "a": 2}),
        {"\\ud800": 1.0, "a": 2.0},
    ),
    "no mapping": (lambda arm: arm.log(0.3), {}),  # type: ignore[arg-type]
    "nothing": (lambda arm: arm.log(None), {}),  # type: ignore[arg-type]
    "too many keys": (
        lambda arm: arm.log({"after": 0} | {str(n): n for n in range(1001)}),
        {str(n): float(n) for n in range(999)},
    ),
}


@pytest.mark.parametrize("case", BAD_LOGS)
def test_a_bad_log(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """Invalid values of a `log` call are reported once. Valid and later values are recorded."""
    log, kept = BAD_LOGS[case]
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        log(arm)
        assert len(told(caplog)) == 1
        assert "log of arm 'arm'" in told(caplog)[0]
        log(arm)
        arm.log({"after": 1})
    assert [line for line in told(caplog)[1:] if "1 more time, in arm 'arm'" not in line] == []
    found = client.arm(name, "arm").get()
    assert (found.status, found.metrics) == ("completed", {**kept, "after": 1.0})


def test_invalid_values_do_not_count_for_the_limit_of_keys(
    record: Any, client: podium.Client, name: str
) -> None:
    """A key whose value is left out does not count towards the arm's limit of 1,000 keys."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"bad": "0.3", "worse": None})
        arm.log({str(number): 0 for number in range(1_000)})
    assert len(client.arm(name, "arm").get().metrics) == 1_000


@pytest.mark.parametrize("timeout", [None, "3", float("nan"), -5, float("inf"), 1e300])
def test_any_time_to_flush(
    record: Any, name: str, caplog: pytest.LogCaptureFixture, timeout: Any
) -> None:
    """`flush` accepts any timeout. A timeout that is not a number causes a warning."""
    with record(name, close_timeout=timeout) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": 1})
        assert arm.flush(timeout).dropped == 0
        if timeout != -5:
            until(lambda: arm.flush(timeout).durable)
    is_number = isinstance(timeout, float | int) and timeout == timeout  # noqa: PLR0124 - NaN
    assert any("timeout must be a number" in line for line in told(caplog)) is not is_number


def test_an_arm_that_is_started_twice(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If an arm is started again while it runs, a warning says so at once."""
    with record(name) as experiment:
        with experiment.start_arm(CONFIG, order=1):
            pass
        first = experiment.start_arm(CONFIG, order=2, restart=True)
        assert told(caplog) == []
        with experiment.start_arm(CONFIG, order=3, restart=True) as second:
            assert "podium: arm 'arm' is started again" in told(caplog)[0]
            assert "ended. The new attempt starts from the beginning, and" in told(caplog)[0]
            assert (first.has_finished, second.has_finished) == (False, False)
        assert second.has_finished
    assert len(told(caplog)) == 1


def test_an_arm_that_is_resumed_while_it_runs(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning about a second start says from which step the arm continues."""
    with record(name) as experiment:
        first = experiment.start_arm(CONFIG, order=1)
        experiment.start_arm(CONFIG, order=2, resume_step=0).finish()
        assert not first.has_finished
        assert "ended. The new attempt continues from step 0, and" in told(caplog)[0]


BAD_EVALS: dict[str, tuple[dict[str, Any], podium.EvalResult | None]] = {
    "a metric": (
        {"metrics": {"n": 1, "m": None}, "step": 3, "breakdowns": {"a": 1}},
        podium.EvalResult("val", metrics={"n": 1}, step=3, breakdowns={"a": 1}),
    ),
    "breakdowns": (
        {"metrics": {"n": 1}, "tags": ["t"], "breakdowns": {"a": {1}}},
        podium.EvalResult("val", metrics={"n": 1}, tags=["t"], breakdowns={"a": [1]}),
    ),
    "metrics and breakdowns": (
        {"metrics": {"n": 1, "m": "2"}, "breakdowns": 5},
        podium.EvalResult("val", metrics={"n": 1}),
    ),
    "a step": (
        {"metrics": {"n": 1}, "step": 1.5},
        podium.EvalResult("val", metrics={"n": 1}, step=1),
    ),
    "a tag": (
        {"metrics": {"n": 1}, "tags": "test"},
        podium.EvalResult("val", metrics={"n": 1}, tags=["test"]),
    ),
    "seconds": (
        {"metrics": {"n": 1}, "eval_seconds": -1},
        podium.EvalResult("val", metrics={"n": 1}),
    ),
}


@pytest.mark.parametrize("case", BAD_EVALS)
def test_a_bad_eval(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """An eval row with invalid parts keeps its valid parts. A warning names the call."""
    arguments, kept = BAD_EVALS[case]
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log_eval("val", **arguments)
        arm.log_eval("after", {"n": 1})
    assert "log_eval of arm 'arm'" in told(caplog)[0]
    found = client.arm(name, "arm").get()
    assert found.evals == [*filter(None, [kept]), podium.EvalResult("after", metrics={"n": 1})]


def test_a_bad_evaluation(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In an `evaluating` block, invalid values are reported, and valid values are recorded."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        with arm.evaluating("val") as evaluation:
            evaluation.log({"n": 1})
            evaluation.log({"n": 2, "m": "x"}, breakdowns={"a": {1}})
        with arm.evaluating("none") as evaluation:
            evaluation.log(5)
    assert len(told(caplog)) >= 2
    found = client.arm(name, "arm").eval("val")
    assert found is not None
    assert found.metrics == {"n": 2.0}


BAD_STARTS: dict[str, tuple[dict[str, Any], str]] = {
    "no config": ({"run_config": None}, "unnamed-"),
    "a mapping": ({"run_config": {"name": "mapping", "lr": 1}}, "mapping"),
    "a name": ({"run_config": CONFIG, "name": "a\0b"}, "ab"),
    "an order": ({"run_config": CONFIG, "order": "1"}, "arm"),
    "two modes": ({"run_config": CONFIG, "restart": True, "resume_step": 1}, "arm"),
}


@pytest.mark.parametrize("case", BAD_STARTS)
def test_a_bad_start(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """If an argument of `start_arm` is invalid, the arm is started with the valid arguments.

    Its later values are recorded. Other calls with invalid arguments raise no error either.
    """
    arguments, expected = BAD_STARTS[case]
    with record(name) as experiment:
        with experiment.start_arm(**arguments) as arm:
            assert not arm.is_silent
            assert arm.name.startswith(expected)
            arm.log({"loss": 1})
            arm.finish("nonsense")
        assert "start_arm of arm " in told(caplog)[0]
        assert "finish of arm" in told(caplog)[1]
        experiment.record_arm("arm")
        experiment.record_arm(podium.ArmResult("", CONFIG, "failed"))
        experiment.arm(5).log({"loss": 1})
        experiment.conclude(object())
        experiment.conclude("fine")
        assert experiment.flush(0).dropped == 3
    found = client.arm(name, arm.name).get()
    assert (found.status, found.metrics) == ("failed", {"loss": 1.0})
    assert client.experiment(name).get().conclusion == "fine"


def test_arms_without_names(record: Any, client: podium.Client, name: str) -> None:
    """Arms that are started without a name get different names, and keep their results."""
    with record(name) as experiment:
        for loss in (1, 2, 3):
            with experiment.start_arm(podium.RunConfig("")) as arm:
                arm.log({"loss": loss})
    found = client.experiment(name).arms()
    assert [arm.metrics["loss"] for arm in found] == [1.0, 2.0, 3.0]
    assert {arm.name.startswith("unnamed-") for arm in found} == {True}


BAD_BEGINNINGS: dict[str, dict[str, Any]] = {
    "a direction": {"direction": "up", "success_metric": "m"},
    "metadata": {"metadata": {"a": {1}}},
    "tags": {"tags": "abc"},
    "a parent": {"parent": "a//b"},
    "an attempt": {"attempt": ("a", 1)},
    "a timeout": {"close_timeout": "soon"},
    "a bound": {"max_bytes": float("inf")},
    "a rank": {"rank": "first"},
}


@pytest.mark.parametrize("case", BAD_BEGINNINGS)
def test_a_bad_beginning(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """An invalid argument of `record` causes one warning, and arms are recorded."""
    with record(name, **BAD_BEGINNINGS[case]) as experiment:
        assert len(told(caplog)) == 1
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
        experiment.flush(60)
    assert client.arm(name, "arm").score("loss") == 1.0


@pytest.mark.parametrize("case", [*BAD_BEGINNINGS, "a name"])
def test_a_bad_beginning_that_is_strict(record: Any, name: str, case: str) -> None:
    """With `strict`, an invalid argument of `record` raises an error."""
    given, arguments = ("a//b", {}) if case == "a name" else (name, BAD_BEGINNINGS[case])
    with pytest.raises((TypeError, ValueError)):
        record(given, strict=True, **arguments)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("", "unnamed/"),
        (None, "unnamed/"),
        ("bad//b", "bad/b"),
        ("bad" + "x" * 257, "bad" + "x" * 242 + "…"),
        (5, "5"),
    ],
)
def test_an_experiment_without_a_valid_name(
    record: Any,
    client: podium.Client,
    caplog: pytest.LogCaptureFixture,
    bad: Any,
    expected: str,
) -> None:
    """If an experiment name is invalid, results are recorded under a valid one, with a warning."""
    with record(bad) as experiment:
        assert experiment.name.startswith(expected)
        assert "record: name" in told(caplog)[0]
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
    assert client.arm(experiment.name, "arm").score("loss") == 1.0


def test_a_bad_address(
    record: Any, name: str, outbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a malformed address, results wait in the outbox, and a warning says how to send them."""
    with record(name, address="results server") as experiment:
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
        assert experiment.outbox is not None
        assert experiment.counters.pending == 4
    assert "HOST:PORT" in told(caplog)[0]
    assert str(outbox) in told(caplog)[-1]
    assert "podium sync" in told(caplog)[-1]


UNUSABLE: dict[str, Callable[[Path], Path]] = {
    "a file": lambda folder: folder / "file",
    "below a file": lambda folder: folder / "file" / "outbox",
    "a name too long": lambda folder: folder / ("x" * 300),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_outbox_that_cannot_be_written(
    record: Any,
    client: podium.Client,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    case: str,
) -> None:
    """If the outbox cannot be written, results are delivered from the temporary folder.

    A warning names both folders. With `strict`, `record` raises RecordingError.
    """
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    outbox = UNUSABLE[case](tmp_path)
    with record(name, outbox=outbox) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": 1})
    (line,) = told(caplog)
    fallback = tmp_path / "temporary" / f"podium-{os.geteuid()}"
    assert f"the outbox {outbox} cannot be used" in line
    assert f"`podium sync {fallback}`" in line
    assert stat.S_IMODE(fallback.stat().st_mode) == 0o700
    assert client.arm(name, "arm").score("loss") == 1.0
    with pytest.raises(podium.RecordingError, match="cannot be written to"):
        record(name, outbox=outbox, strict=True)


def test_a_temporary_folder_of_somebody_else(
    record: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A symbolic link in place of the temporary outbox is not followed. The events are lost."""
    monkeypatch.setattr(stream, "_ROOM_SECONDS", 0.5)  # there will be no room
    (tmp_path / "file").touch()
    (tmp_path / f"podium-{os.geteuid()}").symlink_to(tmp_path / "theirs", target_is_directory=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with record(name, outbox=tmp_path / "file", close_timeout=0.5) as experiment:
        experiment.start_arm(CONFIG).finish()
    assert "is a symbolic link" in told(caplog)[0]
    assert "podium: 3 events are lost" in told(caplog)
    assert not (tmp_path / "theirs").exists()


def test_an_outbox_in_the_home_folder(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leading ~ in the path of an outbox is the home folder, even in PODIUM_OUTBOX."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PODIUM_OUTBOX", "~/environment")
    monkeypatch.chdir(tmp_path)
    for outbox, folder in [("~/argument", "argument"), (None, "environment")]:
        with record(name, outbox=outbox, offline=True) as experiment:
            assert experiment.outbox.is_relative_to(tmp_path / folder)
    assert not (tmp_path / "~").exists()


@pytest.mark.slow
@pytest.mark.timeout(method="thread")  # SIGALRM is used by the test itself
def test_a_signal_handler_that_logs(record: Any, client: podium.Client, name: str) -> None:
    """Each event that a signal handler logs is stored, even if one handler interrupts another."""
    logged = depth = 0

    def set_alarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.002)

    def handler(_number: int, _frame: Any) -> None:
        nonlocal logged, depth
        logged += 1
        number, depth = logged, depth + 1
        if depth < 3:  # deeper, a slow machine would reach the limit of recursion
            set_alarm()
        arm.log_eval("signals", {"n": number}, step=number)
        depth -= 1
        set_alarm()

    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        old = signal.signal(signal.SIGALRM, handler)
        set_alarm()
        try:
            step = 0
            while step < 2000 or logged < 100:
                step += 1
                arm.log_eval("val", {"n": step}, step=step)
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
    found = client.arm(name, "arm").get()
    assert [row.step for row in found.evals if row.name == "val"] == list(range(1, step + 1))
    signals = {row.step for row in found.evals if row.name == "signals"}
    assert signals == set(range(1, logged + 1))
