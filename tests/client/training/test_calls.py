"""Tests of what a callback passes to a fake recorder for each call of a trainer."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, SimpleNamespace
from typing import Any

import podium
import pytest
from podium.integrations import _training
from podium.integrations._callers import TrainerCall, trial_state
from podium.integrations._names import ArmNames
from podium.integrations._recorders import recorder_of
from podium.integrations._training import Row, Training

_ROW = Row("val", {"loss": 0.5}, 3, 1.5)


class _Arm:
    """Keeps what is passed to the recorder of an arm."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name, self.options = name, options
        self.logged: list[Any] = []
        self.rows: list[Any] = []
        self.ends: list[Any] = []

    def log(self, metrics: dict[str, Any], *, step: int | None) -> None:
        """Keeps training metrics and their step."""
        self.logged.append((metrics, step))

    def log_eval(self, name: str, metrics: dict[str, Any], **fields: Any) -> None:
        """Keeps an eval row."""
        self.rows.append((name, metrics, fields))

    def finish(self, status: str = "completed", **fields: Any) -> None:
        """Keeps how the arm ended."""
        self.ends.append((status, fields.get("error"), fields.get("train_seconds")))

    def __exit__(self, *_error: object) -> None:
        """Does nothing. A real arm ends its stream here."""


class _Recorder:
    """Keeps the arms that are started."""

    def __init__(self) -> None:
        self.arms: list[_Arm] = []
        self.closes = 0

    def start_arm(self, _config: podium.RunConfig, *, name: str, **options: Any) -> _Arm:
        """Returns a new arm, and keeps it."""
        self.arms.append(_Arm(name, options))
        return self.arms[-1]

    def close(self) -> None:
        """Counts how often the recorder is closed."""
        self.closes += 1


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yields the recorder that each callback uses."""
    recorder = _Recorder()
    monkeypatch.setattr(_training, "recorder_of", lambda *_: recorder)
    yield recorder
    _training._release()


def _config(name: str = "a", seed: int = 0) -> podium.RunConfig:
    return podium.RunConfig(name, seed=seed)


def _in(module: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a copy of a function that seems to be from another module."""
    return FunctionType(function.__code__, {"__name__": module})


def _optimize(trial: Any, begin: Callable[[], object]) -> None:  # noqa: ARG001 - found by name
    begin()


_in_trial = _in("optuna.study.loop", _optimize)


def _trial(*states: str) -> Any:
    trials = [SimpleNamespace(state=SimpleNamespace(name=state)) for state in states]
    study = SimpleNamespace(get_trials=lambda *, deepcopy: [] if deepcopy else trials)
    return SimpleNamespace(study=study, number=len(states) - 1)


# ---- Runs ----------------------------------------------------------------------------------------


def test_metrics_after_a_run_have_no_step(recorder: Any) -> None:
    """Metrics that are logged after a run are recorded without a step.

    Metrics before the first run, and calls without metrics, are not recorded.
    """
    training = Training("x")
    training.log({"early": 1.0}, 1)
    training.begin(_config())
    training.log({"loss": 1.0}, 5)
    training.log({}, 6)
    training.end()
    training.log({"late": 2.0}, 9)
    assert recorder.arms[0].logged == [({"loss": 1.0}, 5), ({"late": 2.0}, None)]


def test_a_run_has_only_its_own_rows(recorder: Any) -> None:
    """A row of one run is not recorded for the next run.

    At its end, a run records its last row again, without a step and tagged `test`.
    """
    training = Training("x")
    for name in "ab":
        training.begin(_config(name))
        if name == "a":
            training.log_row(_ROW)
        training.end()
    assert [len(arm.rows) for arm in recorder.arms] == [2, 0]
    assert recorder.arms[0].rows[1] == (
        "val",
        {"loss": 0.5},
        {"tags": ["test"], "eval_seconds": 1.5},
    )


def test_the_seconds_of_a_run(recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`train_seconds` of a run is the time since it began, unless the trainer gives another time.

    A second end of the run is not recorded.
    """
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    ends: list[Callable[[Training], object]] = [
        Training.end,
        lambda training: training.end(train_seconds=2.0),
        lambda training: training.stop("enough"),
    ]
    for end in ends:
        training = Training("x")
        training.begin(_config())
        now += 7.5
        for _ in range(2):
            end(training)
    assert [arm.ends for arm in recorder.arms] == [
        [("completed", None, 7.5)],
        [("completed", None, 2.0)],
        [("cancelled", "enough", 7.5)],
    ]


def test_a_resumed_run_is_another_attempt(recorder: Any) -> None:
    """A run that resumes from a checkpoint is another attempt at its arm, without `restart`."""
    training = Training("x", restart=True, group_name="g")
    training.begin(_config())
    training.stop("preempted")
    training.begin(_config(seed=1), resume_step=7)
    options = [(arm.name, arm.options) for arm in recorder.arms]
    assert options == [
        ("a", {"resume_step": None, "restart": True, "group_name": "g"}),
        ("a", {"resume_step": 7, "restart": False, "group_name": "g"}),
    ]
    training.stop("enough")


@pytest.mark.parametrize(
    ("seed", "resume_step", "repeats", "name", "first"),
    [
        (0, None, True, "a", []),
        (0, None, False, "a", []),
        (1, 7, True, "a", []),
        (1, None, True, "a", ["the trainer began the training run again with other arguments"]),
        (1, None, False, "a-2", ["the trainer began another training run"]),
    ],
)
def test_a_run_that_begins_again(
    recorder: Any, seed: int, resume_step: int | None, *, repeats: bool, name: str, first: list[str]
) -> None:
    """If a run begins again with the same arguments, it is another attempt at the same arm.

    With other arguments and no step to resume from, the new run ends the old one. The new run is
    another arm, unless `repeats` says that the trainer repeats runs.
    """
    training = Training("x")
    training.begin(_config(), repeats=repeats)
    training.begin(_config(seed=seed), repeats=repeats, resume_step=resume_step)
    one, other = recorder.arms
    assert [error for _, error, _ in one.ends] == first
    assert other.name == name
    training.stop("enough")


def test_the_end_of_a_block_closes_the_recorder(recorder: Any) -> None:
    """The end of a `with` block completes the run.

    A recorder that the callback created is closed, and a recorder of the user stays open.
    """
    for experiment in ("x", recorder):
        training = Training(experiment)
        training.begin(_config())
        training.leave(None)
        training.leave(None)
    assert recorder.closes == 2
    assert [arm.ends[0][0] for arm in recorder.arms] == ["completed"] * 2
    assert [len(arm.ends) for arm in recorder.arms] == [1, 1]


# ---- Searches ------------------------------------------------------------------------------------


class TrialPruned(Exception):  # noqa: N818 - Optuna's name
    """Ends a trial, like Optuna's error of this name."""


@pytest.mark.parametrize(
    ("states", "rows", "end"),
    [
        (["PRUNED"], [3, 7, 5], ("cancelled", "pruned at step 7")),
        (["COMPLETE", "PRUNED"], [], ("cancelled", "pruned")),
        (["PRUNED", "FAIL"], [3], ("failed", "the trial of Optuna failed")),
        (["RUNNING"], [3], None),
        (["COMPLETE"], [3], None),
    ],
)
def test_a_trial_that_ends_its_run(
    recorder: Any, states: list[str], rows: list[int], end: tuple[str, str] | None
) -> None:
    """If the Optuna trial of a run was pruned, the run is cancelled. If it failed, the run fails.

    A trial is found by its number. The error of a pruned run names the run's highest step.
    """
    training = Training("x")
    _in_trial(_trial(*states), lambda: training.begin(_config()))
    for step in rows:
        training.log_row(Row(f"eval{step}", {"loss": 0.5}, step))
    training.settle()
    assert [found[:2] for found in recorder.arms[0].ends] == ([] if end is None else [end])
    assert training.is_running is (end is None)
    assert (training in _training.unsettled) is training.is_running
    training.stop("enough")


def test_a_trial_whose_state_is_not_known(recorder: Any) -> None:
    """If the study of a trial cannot be read, the trial's state is empty, and the run continues.

    The error TrialPruned still ends the run as pruned.
    """
    training = Training("x")
    broken: Any = SimpleNamespace(study=None, number=0)
    _in_trial(broken, lambda: training.begin(_config()))
    training.settle()
    assert (trial_state(None), trial_state(broken), recorder.arms[0].ends) == ("", "", [])
    training.leave(TrialPruned())
    assert recorder.arms[0].ends[0][:2] == ("cancelled", "pruned")


def test_the_next_run_settles_all_others(recorder: Any) -> None:
    """When a run begins, the runs of other callbacks end if their Optuna trials have failed."""
    one, other = Training("x"), Training("x")
    _in_trial(_trial("FAIL"), lambda: one.begin(_config()))
    other.begin(_config("b"))
    assert [arm.ends[:1] and arm.ends[0][0] for arm in recorder.arms] == ["failed", []]
    other.stop("enough")


# ---- Evaluations without a training run ----------------------------------------------------------


def test_an_evaluation_without_training(recorder: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An evaluation without training has its own arm, with an attempt that all processes share.

    The arm is finished after each result.
    """
    training = Training("x", restart=True, order=9, run_id="r")
    for name in ("test", "val"):
        training.begin_evaluation(_config())
        training.log_final(name, {"acc": 0.5}, 2.0)
    [arm] = recorder.arms
    shared = {"attempt_id": "evaluation", "order": 1, "restart": False, "run_id": "r"}
    assert (arm.name, arm.options) == ("a-evaluation", shared)
    fields = {"tags": ["test"], "eval_seconds": 2.0}
    assert arm.rows == [("test", {"acc": 0.5}, fields), ("val", {"acc": 0.5}, fields)]
    assert arm.ends == [("completed", None, None)] * 2
    assert "'a' is evaluated without training" in caplog.text


@pytest.mark.parametrize(("resume_step", "count"), [(None, 2), (7, 0)])
def test_an_evaluation_before_training(recorder: Any, resume_step: int | None, count: int) -> None:
    """The results of an evaluation before training are also rows at step 0 of the run that follows.

    A run that continues from a checkpoint does not get these rows, and neither do later runs.
    """
    training = Training("x")
    training.begin_evaluation(_config())
    for name in ("test", "val"):
        training.log_final(name, {"acc": 0.5}, 2.0)
    training.begin(_config(), resume_step=resume_step)
    run = recorder.arms[1]
    fields = {"step": 0, "eval_seconds": 2.0}
    rows = [("test", {"acc": 0.5}, fields), ("val", {"acc": 0.5}, fields)]
    assert (run.name, run.rows) == ("a", rows[:count])
    training.end()
    training.log_final("late", {"acc": 1.0})
    training.begin(_config("b"))
    assert (run.ends[1:], recorder.arms[2].rows) == ([], [])
    training.stop("enough")


def test_an_evaluation_after_training_is_one_of_its_arm(recorder: Any) -> None:
    """An evaluation after training starts no new attempt, which would delete the rows of the run.

    A process of another rank starts none, either.
    """
    training = Training("x")
    training.begin(_config())
    training.end()
    training.begin_evaluation(_config())
    other = Training("x")
    other.begin_evaluation(_config(), rank=3)
    assert (len(recorder.arms), other.arm) == (1, None)


# ---- Names and callers ---------------------------------------------------------------------------


def _search(self: Any, names: Any) -> Any:  # noqa: ARG001 - found by name
    return names.next("a"), names.next("a")


def test_names_in_the_processes_of_a_search(caplog: pytest.LogCaptureFixture) -> None:
    """In a search with joblib, a copy of a callback gives its arms names with a random suffix.

    Otherwise, a repeated name gets a number, and a warning is logged.
    """
    own, received = ArmNames(), pickle.loads(pickle.dumps(ArmNames()))  # noqa: S301 - our own data
    search = _in("joblib.parallel", _search)
    assert search(None, own) == ("a", "a-2")
    assert (received.next("a"), received.next("a")) == ("a", "a-2")
    assert caplog.text.count("the next training run is recorded as arm 'a-2'") == 2
    one, other = search(None, received)
    assert len({one, other, "a"}) == 3
    assert all(name.startswith("a-") and len(name) == 10 for name in (one, other))


def test_the_error_that_ended_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error that ended a call of a trainer is found as the cause or context of another error.

    A forked process does not count the call of its parent as ended.
    """
    calls: list[TrainerCall | None] = []

    def train(of: Callable[[str], Any], add: Callable[[Any], object]) -> None:
        add(of("trainer"))
        raise ValueError

    with pytest.raises(ValueError) as raised:  # noqa: PT011 - no text to match
        _in("trainer.loop", train)(TrainerCall.of, calls.append)
    [call] = calls
    assert call is not None
    assert call.has_ended()
    assert not call._replace(pid=os.getpid() + 1).has_ended()
    assert call.error() is None
    for attribute in ("__cause__", "__context__"):
        outer = RuntimeError("outer")
        setattr(outer, attribute, raised.value)
        monkeypatch.setattr(sys, "last_value", outer, raising=False)
        assert call.error() is raised.value


def test_one_recorder_for_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with the same rank share a recorder, until the environment names another outbox.

    Each process has its own recorders.
    """
    made: list[Any] = []

    def record(name: str, **given: Any) -> Any:
        made.append((name, given))
        return object()

    monkeypatch.setattr("podium._recorder.record", record)
    monkeypatch.setattr("podium.integrations._recorders._recorders", {})
    first = recorder_of("x", 3)
    assert recorder_of("x", 3) is first
    monkeypatch.setenv("PODIUM_OUTBOX", "/other")
    assert recorder_of("x", 3) is not first
    monkeypatch.setenv("RANK", "3")
    recorder_of("x", 3)
    recorder_of("x", 0)
    # If the rank is that of the environment, the recorder itself finds it there, with its source.
    assert [given["rank"] for _, given in made] == [3, 3, None, 0]
    monkeypatch.setattr(os, "getpid", lambda: 1)
    recorder_of("x", 0)
    assert len(made) == 5
