"""Tests that the server's answers equal those of the vectors and of the naive rules."""

import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import podium
import pytest
from podium import events
from podium._wire import codec
from podium_server.testing import running_server

from tests.unit.scoring.bruteforce import (
    eval_answer,
    random_arm,
    random_questions,
    refusal,
    score_answer,
)
from tests.unit.scoring.vectors import Case, arm_of, cases, check

_ARMS = 10_000
_PER_CALL = 100
_QUESTIONS = 2


@pytest.fixture(scope="module")
def client() -> Iterator[podium.Client]:
    """Yields a client of a server with an empty experiment `reads`."""
    with running_server() as server, podium.Client(server.address) as client:
        client.experiment("reads").declare()
        yield client


class _Served:
    """An arm whose results are read from the server."""

    def __init__(self, arm: podium.ArmHandle) -> None:
        self._arm = arm

    def eval(self, name: str, step: int | None) -> podium.EvalResult | None:
        return self._arm.eval(name, step=step)

    def score(self, metric: str) -> podium.Score | None:
        return self._arm.find_score(metric)

    def arm(self) -> podium.ArmResult:
        return self._arm.get()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_a_recorded_arm_answers_as_the_vectors_say(client: podium.Client, case: Case) -> None:
    """The server accepts or rejects each arm of the vectors as its vector says.

    For an accepted arm, the server's answers equal those of the vector.
    """
    experiment = client.experiment("reads")
    message = arm_of(case)
    arm = codec.arm_result_from_proto(message)
    arm.name = case["name"]
    arm.eval_metrics = dict(message.eval_metrics)
    if "refused" in case:
        with pytest.raises(podium.PodiumError) as refused:
            experiment.record_arm(arm)
        assert refused.value.reason == case["refused"]
    else:
        experiment.record_arm(arm)
        check(case, _Served(experiment.arm(arm.name)))


def _random_arms(seed: int) -> list[podium.ArmResult]:
    rng = Random(seed)  # noqa: S311 - nothing secret
    return [random_arm(rng, f"arm{number}") for number in range(_ARMS)]


@pytest.mark.slow
def test_random_arms_are_recorded_or_rejected_as_the_naive_rules_say(
    client: podium.Client,
) -> None:
    """Of 10,000 random arms, the server rejects those that the naive rules reject.

    For the others, the server's answers equal those of the naive rules.
    """
    experiment = client.experiment("reads")
    arms = _random_arms(5)
    for arm in filter(refusal, arms):
        with pytest.raises(podium.PodiumError) as refused:
            experiment.record_arm(arm)
        assert refused.value.reason == refusal(arm)
    sound = [arm for arm in arms if refusal(arm) is None]
    for first in range(0, len(sound), _PER_CALL):
        reported = [events.arm_recorded(arm) for arm in sound[first : first + _PER_CALL]]
        client.record("reads", reported)
    rng = Random(6)  # noqa: S311 - nothing secret
    for arm in sound:
        _check_answers(experiment.arm(arm.name), arm, rng)


def _check_answers(handle: podium.ArmHandle, arm: podium.ArmResult, rng: Random) -> None:
    questions = random_questions(rng, arm)
    for name, step in rng.sample(questions.evals, min(_QUESTIONS, len(questions.evals))):
        assert handle.eval(name, step=step) == eval_answer(arm, name, step), (arm, name, step)
    for metric in rng.sample(questions.scores, min(_QUESTIONS, len(questions.scores))):
        assert _exact(handle.find_score(metric)) == _exact(score_answer(arm, metric)), (arm, metric)


def _exact(score: podium.Score | None) -> object:
    """Returns a score in a form in which numbers are compared by their bits."""
    if score is None:
        return None
    return struct.pack("<d", score.value), score.origin, score.key, score.eval_name, score.step


@pytest.mark.parametrize("name", ["", "n" * 1_025, "a\nb", "\x00"])
def test_results_and_stored_arms_reject_the_same_names(client: podium.Client, name: str) -> None:
    """For an invalid name, a stored arm and a result in memory raise the same error."""
    experiment = client.experiment("reads")
    experiment.record_arm(podium.ArmResult("names", podium.RunConfig("names"), "completed"))
    arm = experiment.arm("names")
    for ask in (
        lambda asked: asked.eval(name),
        lambda asked: asked.score(name * 2),
    ):
        texts = [_refusal(ask, asked) for asked in (arm, arm.get())]
        assert texts[0] == texts[1]


def _refusal(ask: Callable[[Any], object], asked: object) -> str:
    with pytest.raises(podium.InvalidArgumentError) as refused:
        ask(asked)
    assert refused.value.reason == "NAME_INVALID"
    return str(refused.value)


@pytest.mark.slow
def test_a_call_of_many_arms_lets_others_ask(client: podium.Client) -> None:
    """While a call records 1,000 arms, another client's calls are answered.

    Each of them takes less than a third of the time of that call.
    """
    arms = [podium.ArmResult(f"a{n}", podium.RunConfig("r"), "completed") for n in range(1_000)]
    for arm in arms:
        arm.metrics = {f"m{n}": float(n) for n in range(9)}
    client.experiment("many").declare()
    recorded = [events.arm_recorded(arm) for arm in arms]
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        call = pool.submit(client.record, "many", recorded)
        waits = [_seconds_of(client.experiment("reads").get)]
        while not call.done():
            waits.append(_seconds_of(client.experiment("reads").get))
        seconds = time.monotonic() - started
    assert call.result().revision == 2
    assert max(waits) < seconds / 3, f"{max(waits):.3f} s of {seconds:.3f} s"


def _seconds_of(ask: Callable[[], object]) -> float:
    started = time.monotonic()
    ask()
    return time.monotonic() - started
