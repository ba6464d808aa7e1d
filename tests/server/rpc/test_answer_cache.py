"""Answers that are kept: never older than what the store would say, and within their bound."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import podium
from podium_server.api.answer_cache import AnswerCache
from podium_server.testing import running_server

_ARM = ("x", "a")
_WRITES = 60
_WRITERS = 4


def test_an_answer_is_kept_until_its_arm_changes() -> None:
    """What was kept is found again, until a commit changes its arm; other arms keep theirs."""
    cache = AnswerCache(10_000)
    scores, evals = cache.rpc(), cache.rpc()
    scores.keep(b"q", _ARM, b"score", scores.moment)
    evals.keep(b"q", _ARM, b"eval", evals.moment)
    evals.keep(b"r", ("x", "b"), b"other", evals.moment)
    assert (scores.find(b"q"), evals.find(b"q"), evals.find(b"r")) == (b"score", b"eval", b"other")
    cache.changing({_ARM})
    assert (scores.find(b"q"), evals.find(b"q"), evals.find(b"r")) == (None, None, b"other")


def test_nothing_is_kept_of_what_is_being_changed() -> None:
    """While a commit is under way, and for questions from before its end, nothing is kept."""
    cache = AnswerCache(10_000)
    kept, before = cache.rpc(), cache.moment
    for subject in (_ARM, ("x", None)):
        cache.changing({subject})
        kept.keep(b"q", _ARM, b"old", kept.moment)
        assert kept.find(b"q") is None
        cache.changed({subject})
        kept.keep(b"q", _ARM, b"old", before)
        assert kept.find(b"q") is None
    kept.keep(b"q", _ARM, b"new", kept.moment)
    assert kept.find(b"q") == b"new"


def test_an_experiment_that_goes_takes_its_answers_along() -> None:
    """A change of a whole experiment forgets the answers of all its arms, and of no other's."""
    cache = AnswerCache(10_000)
    kept = cache.rpc()
    for number, subject in enumerate([("x", "a"), ("x", "b"), ("xy", "a")]):
        kept.keep(b"%d" % number, subject, b"answer", kept.moment)
    cache.changing({("x", None)})
    assert [kept.find(b"%d" % number) for number in range(3)] == [None, None, b"answer"]


def test_the_cache_stays_within_its_bytes() -> None:
    """However much is asked, kept and forgotten, the bytes kept are bounded; 0 keeps nothing."""
    cache = AnswerCache(20_000)
    kept = cache.rpc()
    for number in range(2_000):
        subject = ("x", str(number % 7))
        if number % 5 == 0:
            cache.changing({subject})
            cache.changed({subject})
        kept.keep(b"%d" % number, subject, bytes(number % 3_000), kept.moment)
        assert sum(map(len, kept.answers.values())) <= 20_000
    assert kept.answers
    kept.keep(b"large", _ARM, bytes(30_000), kept.moment)
    assert kept.find(b"large") is None
    off = AnswerCache(0).rpc()
    off.keep(b"q", _ARM, b"answer", off.moment)
    assert off.find(b"q") is None


def test_whoever_was_answered_reads_what_was_recorded(tmp_path: Path) -> None:
    """Beside other writers, each reads its own last row after every answer, of eval and score."""
    with running_server(f"sqlite:///{tmp_path}/podium.db") as server:
        with podium.Client(server.address) as client:
            client.experiment("x").declare()

        def write_and_read(number: int) -> None:
            with podium.Client(server.address) as client:
                rng = Random(number)  # noqa: S311 - the same changes each time
                _write_and_read(client.experiment("x"), f"arm{number}", rng)

        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(write_and_read, range(_WRITERS)))


def _write_and_read(experiment: podium.ExperimentHandle, name: str, rng: Random) -> None:
    arm = experiment.arm(name)
    experiment.record_arm(podium.ArmResult(name, podium.RunConfig(name), "running"))
    expected: dict[str, float] = {}
    for number in range(_WRITES):
        _CHANGES[rng.randrange(len(_CHANGES))](experiment, name, float(number), expected)
        for _ in range(rng.randrange(1, 3)):
            row = arm.eval("val")
            assert (row and row.metrics.get("acc")) == expected.get("val.acc")
            assert arm.score("val.acc") == expected.get("val.acc")
            assert arm.score("loss") == expected.get("loss")
            assert arm.score("val.none") is None


_Change = Callable[[podium.ExperimentHandle, str, float, dict[str, float]], None]


def _new_row(
    experiment: podium.ExperimentHandle, name: str, value: float, expected: dict[str, float]
) -> None:
    experiment.arm(name).log_eval("val", {"acc": value}, step=int(value))
    expected["val.acc"] = value


def _new_loss(
    experiment: podium.ExperimentHandle, name: str, value: float, expected: dict[str, float]
) -> None:
    experiment.arm(name).log({"loss": value})
    expected["loss"] = value


def _new_life(
    experiment: podium.ExperimentHandle, name: str, _value: float, expected: dict[str, float]
) -> None:
    experiment.arm(name).delete()
    experiment.record_arm(podium.ArmResult(name, podium.RunConfig(name), "running"))
    expected.clear()


_CHANGES: list[_Change] = [_new_row, _new_row, _new_loss, _new_life]


def test_a_deleted_experiment_answers_no_more(tmp_path: Path) -> None:
    """After its deletion an experiment is unknown, and in its new life it has none of the old."""
    store = f"sqlite:///{tmp_path}/podium.db"
    with running_server(store) as server, podium.Client(server.address) as client:
        experiment = client.experiment("x")
        for value in (0.25, None):
            experiment.declare()
            metrics = {} if value is None else {"acc": value}
            arm = podium.ArmResult("a", podium.RunConfig("a"), "completed", metrics)
            experiment.record_arm(arm)
            assert [experiment.arm("a").score("acc") for _ in range(3)] == [value] * 3
            experiment.delete()
            assert _reason(experiment) == "EXPERIMENT_NOT_FOUND"


def _reason(experiment: podium.ExperimentHandle) -> str:
    try:
        experiment.arm("a").score("acc")
    except podium.NotFoundError as error:
        return error.reason
    return "none"
