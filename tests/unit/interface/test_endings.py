"""Tests of events, configurations, endings and provenance, at their exact limits."""

import asyncio
from types import SimpleNamespace

import podium
import pytest
from podium import events
from podium._interface.endings import ending_of, error_text
from podium._interface.provenance import _shown, known
from podium._interface.recorders import host_of_attempt, new_attempt
from podium._model.config import values_by_path, without_identity


def test_an_annotation_that_removes() -> None:
    """An empty string removes the notes or group. None leaves them as they are."""
    removed = events.arm_annotated("a", notes="", group_name="").arm_annotated
    given = {field.name for field, _ in removed.ListFields()}
    assert given == {"arm", "clear_notes", "clear_group"}
    kept = events.arm_annotated("a").arm_annotated
    assert [field.name for field, _ in kept.ListFields()] == ["arm"]


def test_zero_is_a_value() -> None:
    """Zero seconds, step 0 and an empty error message are recorded, not treated as unset."""
    finished = events.arm_finished("a", "failed", error="", train_seconds=0.0).arm_finished
    assert (finished.HasField("train_seconds"), finished.HasField("error")) == (True, True)
    assert events.metrics_recorded("a", {}, step=0).metrics_recorded.HasField("step")
    started = events.arm_started(None, podium.RunConfig("c"), podium.Attempt("A", 0), resume_step=0)
    assert (started.arm_started.arm, started.arm_started.WhichOneof("mode")) == ("c", "resume_step")
    with pytest.raises(ValueError, match="not both"):
        events.arm_started(
            "a", podium.RunConfig("c"), podium.Attempt("A", 0), resume_step=0, restart=True
        )


def test_the_values_of_a_configuration_by_path() -> None:
    """`values_by_path` returns the values of a configuration, also zero, False and empty strings.

    It leaves out lists and unset fields.
    """
    config = podium.RunConfig(
        "c",
        model=podium.ModelConfig("m"),
        algorithm=podium.Component("", {"lr": 0.0, "on": False, "deep": {"x": ""}, "l": [1]}),
        seed=0,
        tags=["t"],
    )
    assert values_by_path(config) == {
        "name": "c",
        "model.name": "m",
        "algorithm.kind": "",
        "algorithm.params.lr": 0.0,
        "algorithm.params.on": False,
        "algorithm.params.deep.x": "",
        "seed": 0,
    }


def test_configurations_of_the_same_group() -> None:
    """Configs that differ only in name, seed and empty parts belong to the same group."""
    one = podium.RunConfig("a", algorithm=podium.Component(""), seed=1, extras={"k": 1})
    other = podium.RunConfig("b", seed=2, extras={"k": 1})
    assert without_identity(one) == without_identity(other)
    part = podium.RunConfig("a", algorithm=podium.Component("", {"k": 1}), extras={"k": 1})
    assert without_identity(one) != without_identity(part)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (None, "completed", None),
        (ValueError("boom"), "failed", "ValueError: boom\n"),
        (SystemExit(1), "failed", "SystemExit: 1\n"),
        (SystemExit("bad"), "failed", "SystemExit: bad\n"),
        (SystemExit(0), "cancelled", "SystemExit: 0"),
        (SystemExit(), "cancelled", "SystemExit"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (asyncio.CancelledError(), "cancelled", "asyncio.exceptions.CancelledError"),
        (type("TrialPruned", (Exception,), {})("at 3"), "cancelled", "pruned: at 3"),
        (type("TrialPruned", (Exception,), {})(), "cancelled", "pruned"),
    ],
    ids=repr,
)
def test_the_end_of_a_block(error: BaseException | None, status: str, text: str | None) -> None:
    """The exception that ends a block determines the final status of its arm.

    Without an exception, the arm is completed. After an error, or an exit with a code other than
    0, it is failed. After an exit with code 0, an interrupt, a cancellation or a pruned trial, it
    is cancelled.
    """
    found = ending_of(error)
    assert (found.status, found.error) == (status, text)


def test_the_text_of_an_error() -> None:
    """An error message is cut to 1 MiB. Characters that a server rejects are escaped."""
    assert error_text("a\0\ud800") == "a\\x00\\ud800"
    assert len(error_text("x" * ((1 << 20) + 1)).encode()) <= 1 << 20
    assert error_text("x" * (1 << 20)) == "x" * (1 << 20)


def test_the_attempt_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a new attempt is the time in milliseconds. Its id contains the host."""
    monkeypatch.setattr("time.time_ns", lambda: 1_234_567_890)
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="node-8"))
    attempt = new_attempt(None, None)
    assert (attempt.order, host_of_attempt(attempt.id)) == (1_234, "node-8")
    assert new_attempt("A", 0) == podium.Attempt("A", 0)
    assert host_of_attempt("A") is None


def test_a_long_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 200 arguments and 8,000 characters of a command line are recorded.

    Of each argument, at most 1,000 characters are recorded. Values that are not strings are left
    out, and the value of `--token` is redacted. PODIUM_PROVENANCE can turn off the recording.
    """
    assert _shown(["a"] * 201) == [*["a"] * 200, "[1 more arguments]"]
    assert _shown(["a"] * 200) == ["a"] * 200
    assert [len(each) for each in _shown(["a" * 1_000, "b" * 1_001])] == [1_000, 1_000]
    assert _shown(["a" * 1_000] * 8) == [*["a" * 1_000] * 7, "[1 more arguments]"]
    assert _shown(["a" * 999] * 9) == [*["a" * 999] * 8, "[1 more arguments]"]
    monkeypatch.setenv("PODIUM_PROVENANCE", "on")
    found = known("c", ["python", 7, "--token", "x"], packages={"torch": "2", "jax": None})
    shown = ["python", "--token", "[redacted]"]
    assert found == podium.Provenance("c", None, shown, packages={"torch": "2"})
    for word in ("off", "0", "False", " no\n"):
        monkeypatch.setenv("PODIUM_PROVENANCE", word)
        assert known("c") is None
