"""If an error breaks off a training run, its arm ends, although no callback is called."""

import subprocess
import sys
import threading
from collections.abc import Callable
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import podium
import pytest
from podium.integrations import _training
from podium.integrations._training import Training
from podium_server.testing import running_server

_CAUGHT = "the training run was ended by an error, which the script caught"


def _loop(begin: Callable[[], object], then: Callable[[], object]) -> None:
    begin()
    then()


_train = FunctionType(_loop.__code__, {"__name__": "trainer.loop"})
"""A training loop that seems to be from the library of a trainer."""


def _break() -> None:
    raise ValueError("out of memory")


def _run(experiment: Any, name: str, then: Callable[[], object] = _break) -> Training:
    training = Training(experiment)
    config = podium.RunConfig(name)
    _train(lambda: training.begin(config, trainer="trainer"), then)
    return training


def _ending(experiment: podium.ExperimentHandle, name: str) -> tuple[str, str]:
    arm = experiment.arm(name).get()
    return arm.status, (arm.error or "").strip().rpartition("\n")[2]


def test_the_next_training_run_ends_one_that_broke_off(experiment: podium.ExperimentHandle) -> None:
    """When a training run begins, an earlier run that broke off ends as failed.

    If the error of the earlier run is still being handled, it becomes the error of the arm.
    """
    with pytest.raises(ValueError, match="memory"):
        _run(experiment, "a")
    try:
        _run(experiment, "b")
    except ValueError:
        _run(experiment, "c", lambda: None).end()
    assert _ending(experiment, "a") == ("failed", _CAUGHT)
    assert _ending(experiment, "b") == ("failed", "ValueError: out of memory")
    assert _ending(experiment, "c") == ("completed", "")


def test_another_training_with_the_same_callback(experiment: podium.ExperimentHandle) -> None:
    """If a callback begins another training run, the earlier run of the callback ends.

    An earlier run that broke off ends as failed. One that is still running is cancelled.
    """
    training = Training(experiment)

    def run(seed: int, then: Callable[[], object]) -> None:
        config = podium.RunConfig("a", seed=seed)
        _train(lambda: training.begin(config, trainer="trainer"), then)

    with pytest.raises(ValueError, match="memory"):
        run(1, _break)
    run(2, lambda: run(3, training.end))
    assert _ending(experiment, "a") == ("failed", _CAUGHT)
    assert _ending(experiment, "a-2") == ("cancelled", "the trainer began another training run")
    assert _ending(experiment, "a-3") == ("completed", "")


def test_a_training_inside_of_another(experiment: podium.ExperimentHandle) -> None:
    """A training run inside of another does not end the outer one, which is still running."""
    outer = _run(experiment, "outer", lambda: _run(experiment, "inner", lambda: None).end())
    assert _ending(experiment, "inner") == ("completed", "")
    assert _ending(experiment, "outer") == ("running", "")
    outer.end()


def test_a_loop_of_the_script(experiment: podium.ExperimentHandle) -> None:
    """A script with its own training loop calls the library only to pass an event to the callback.

    The end of that call does not end the training run.
    """

    def on_epoch_begin(callback: Callable[[], object]) -> None:
        callback()

    pass_on = FunctionType(on_epoch_begin.__code__, {"__name__": "trainer.callbacks"})
    training = Training(experiment)
    pass_on(lambda: training.begin(podium.RunConfig("arm"), trainer="trainer"))
    _run(experiment, "next", lambda: None).end()
    assert _ending(experiment, "arm") == ("running", "")
    training.leave(None)
    assert _ending(experiment, "arm") == ("completed", "")


def test_a_training_in_another_thread(experiment: podium.ExperimentHandle) -> None:
    """A training run that broke off in another thread ends as failed once its thread has ended.

    While the thread runs, the training run counts as running.
    """
    may_end = threading.Event()

    def train() -> None:
        with pytest.raises(ValueError, match="memory"):
            _run(experiment, "thread")
        begun.set()
        may_end.wait()

    begun, thread = threading.Event(), threading.Thread(target=train)
    thread.start()
    begun.wait()
    _run(experiment, "here", lambda: None).end()
    assert _ending(experiment, "thread") == ("running", "")
    may_end.set()
    thread.join()
    _run(experiment, "later", lambda: None).end()
    assert _ending(experiment, "thread") == ("failed", _CAUGHT)


def test_two_callbacks_of_one_training(experiment: podium.ExperimentHandle) -> None:
    """A second callback of the same training run does not end the run of the first callback.

    Both begin during the same call of the trainer.
    """
    both = [Training(experiment), Training(experiment)]

    def begin() -> None:
        for number, training in enumerate(both):
            training.begin(podium.RunConfig(f"{number}"), trainer="trainer")

    _train(begin, lambda: None)
    for number, training in enumerate(both):
        assert _ending(experiment, f"{number}") == ("running", "")
        training.end()


def test_a_block_in_which_the_error_is_caught(experiment: podium.ExperimentHandle) -> None:
    """If the error of a training run is caught inside a block, the run's arm fails nevertheless."""
    training = Training(experiment)
    with pytest.raises(ValueError, match="memory"):
        _train(lambda: training.begin(podium.RunConfig("arm"), trainer="trainer"), _break)
    training.leave(None)
    assert _ending(experiment, "arm") == ("failed", _CAUGHT)


_EXITS = """
import sys
from types import FunctionType

import podium
from podium.integrations._training import CallbackBase, Training

def loop(begin):
    begin()
    sys.exit(1)

train = FunctionType(loop.__code__, {"__name__": "trainer.loop", "sys": sys})
client = podium.Client(sys.argv[1])

def main():
    callback = CallbackBase()
    callback._training = Training(client.experiment("exits"))
    train(lambda: callback._training.begin(podium.RunConfig("arm"), trainer="trainer"))

main()
"""


def test_a_function_from_which_the_script_exits() -> None:
    """If a script exits inside a function, the arm is cancelled.

    Python deletes the callback, a variable of that function, before the process ends.
    """
    with running_server() as server, podium.Client(server.address) as client:
        client.experiment("exits").declare()
        command = [sys.executable, "-c", _EXITS, server.address]
        assert subprocess.run(command, check=False, timeout=120).returncode == 1
        ending = _ending(client.experiment("exits"), "arm")
    assert ending == ("cancelled", "the process ended before the training run did")


def test_a_callback_that_outlives_the_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback can be deleted at the very end of a process.

    By then, Python has set all variables of the module to None.
    """
    callback = _training.CallbackBase[Training]()
    callback._training = Training("experiment")
    monkeypatch.setattr(_training, "is_script_over", None)
    callback.__del__()


def test_a_cell_of_a_notebook(
    experiment: podium.ExperimentHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a cell of a notebook raises an error, the arm fails with this error when the cell ends."""
    callbacks: dict[str, Callable[[object], None]] = {}
    notebook: Any = ModuleType("IPython")
    notebook.get_ipython = lambda: SimpleNamespace(
        events=SimpleNamespace(register=callbacks.__setitem__)
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    with pytest.raises(ValueError, match="memory") as raised:
        _run(experiment, "arm")
    assert _ending(experiment, "arm") == ("running", "")
    monkeypatch.setattr(sys, "last_value", raised.value, raising=False)
    callbacks["post_run_cell"](None)
    assert _ending(experiment, "arm") == ("failed", "ValueError: out of memory")
