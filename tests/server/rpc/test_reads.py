"""The server's answers equal the vectors and the naive rules."""

import struct
from collections.abc import Iterator
from random import Random

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
    """A client of a server with an empty experiment `reads`."""
    with running_server() as server, podium.Client(server.address) as client:
        client.experiment("reads").declare()
        yield client


class _Served:
    """An arm that is asked over the wire."""

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
    """The server records each arm of the vectors and answers right, or refuses it as it should."""
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
def test_random_arms_are_recorded_or_refused_as_the_naive_rules_say(
    client: podium.Client,
) -> None:
    """Of 10,000 random arms, contradictory ones are refused and the rest answer alike."""
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
    """A score in a form in which numbers compare by their bits."""
    if score is None:
        return None
    return struct.pack("<d", score.value), score.origin, score.key, score.eval_name, score.step
