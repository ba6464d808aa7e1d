"""Tests of rankings, score matrices and experiment results, with both clients."""

import math
from collections.abc import Callable
from typing import Any

import grpc
import podium
import pytest
from podium._client import near_names
from podium.v1.ranking_pb2 import RankedArm
from podium.v1.results_service_pb2 import (
    GetExperimentResponse,
    ListArmsResponse,
    RankRequest,
    RankResponse,
    ScoresRequest,
    ScoresResponse,
)
from podium.v1.score_matrix_pb2 import ScoreColumn, ScoredArm

from tests.client.client.both import AnyClient, entered, result
from tests.client.client.broken import grpc_server

SCORES = {"low": 0.25, "nan": math.nan, "high": 0.75, "half": 0.5}


@pytest.fixture
def sweep(blocking: podium.Client, declared: str) -> str:
    """Records four completed arms and a failed one. Returns the experiment's name."""
    experiment = blocking.experiment(declared)
    for seed, (name, score) in enumerate(SCORES.items()):
        config = podium.RunConfig(name, seed=seed)
        row = podium.EvalResult("test", metrics={"pass_rate": score}, tags=["test"])
        arm = podium.ArmResult(name, config, "completed", evals=[row], group_name=name[0])
        experiment.record_arm(arm)
    experiment.record_arm(podium.ArmResult("bad", podium.RunConfig("bad"), "failed"))
    return declared


async def test_rank(client: AnyClient, sweep: str) -> None:
    """rank() returns the arms in order, with the metric and the direction of the ranking."""
    found = await result(client.experiment(sweep).rank())
    assert [(arm.rank, arm.arm) for arm in found.arms] == [
        (1, "high"), (2, "half"), (3, "low"), (4, "nan"),
    ]  # fmt: skip
    assert found.arms[0].source == podium.ScoreSource("post_training_eval", "pass_rate", "test")
    assert found.arms[3].flags == [podium.RankFlag.NAN]
    assert (found.metric, found.direction, found.revision) == ("test.pass_rate", "maximize", 6)
    assert found.counts == podium.RankCounts(3, 1, 0, podium.ArmCounts(failed=1))
    assert found.sources == [podium.RankSource("post_training_eval", "test", None, 4)]


async def test_metadata_state_the_direction_of_other_metrics(client: AnyClient, sweep: str) -> None:
    """The metadata can give the direction of a metric.

    A direction in the call or in the declaration takes precedence.
    """
    experiment = client.experiment(sweep)
    metadata = {"direction:pass_rate": "minimize", "direction:test.pass_rate": "minimize"}
    await result(experiment.declare(metadata=metadata))
    assert (await result(experiment.rank("pass_rate"))).arms[0].arm == "low"
    greatest = await result(experiment.rank("pass_rate", direction="maximize"))
    assert greatest.arms[0].arm == "high"
    by_success_metric = await result(experiment.rank())
    assert by_success_metric.direction == "minimize"
    await result(experiment.declare(direction="maximize"))
    assert (await result(experiment.rank())).arms[0].arm == "high"
    async with entered(experiment.follow()) as live:
        for metric in (None, "pass_rate", "other"):
            assert live.rank(metric).direction == (await result(experiment.rank(metric))).direction


async def test_rank_with_all_arguments(client: AnyClient, sweep: str) -> None:
    """rank() accepts a metric, a direction, statuses and the number of arms."""
    experiment = client.experiment(sweep)
    least = await result(experiment.rank("pass_rate", direction="minimize", top=1))
    assert [arm.arm for arm in least.arms] == ["low"]
    assert least.counts.numbers == 3
    both = await result(experiment.rank(status=["failed", "completed"]))
    assert [(arm.rank, arm.arm) for arm in both.arms][-1] == (None, "bad")
    with pytest.raises(ValueError, match="top must be at least 1"):
        await result(experiment.rank(top=0))


async def test_rank_groups(client: AnyClient, sweep: str) -> None:
    """rank_groups() returns means and standard deviations, and can leave out small groups."""
    found = await result(client.experiment(sweep).rank_groups(min_members=2))
    [group] = found.groups
    assert (group.name, group.rank, group.members) == ("h", 1, 2)
    assert (group.statistics.mean, group.statistics.n) == (0.625, 2)
    assert group.statistics.sd == pytest.approx(0.1767766953)
    assert found.group_counts == podium.RankGroupCounts(ranked=1, too_small=3)


async def test_an_arm_without_a_group_has_its_own_name(client: AnyClient, declared: str) -> None:
    """An arm without a group is ranked as a group that has the arm's name."""
    experiment = client.experiment(declared)
    arm = podium.ArmResult("alone", podium.RunConfig("r"), "completed", {"m": 1})
    await result(experiment.record_arm(arm))
    [group] = (await result(experiment.rank_groups("m"))).groups
    assert (group.group_name, group.name, group.statistics.sd) == (None, "alone", None)


async def test_best(client: AnyClient, sweep: str) -> None:
    """best() returns the arm with the best number, or None if no arm has a number."""
    experiment = client.experiment(sweep)
    best = await result(experiment.best())
    assert (best.arm, best.score) == ("high", 0.75)
    assert (await result(experiment.best("pass_rate", direction="minimize"))).arm == "low"
    assert await result(experiment.best("nothing")) is None


async def test_result_and_conclusion(client: AnyClient, sweep: str) -> None:
    """result() summarizes the experiment. conclude() without a text stores this summary."""
    experiment = client.experiment(sweep)
    found = await result(experiment.result())
    assert (found.best_arm, found.best_score, found.status) == ("high", 0.75, "completed")
    assert [arm.name for arm in found.arms] == [*SCORES, "bad"]
    assert found.experiment.success_metric == "test.pass_rate"
    said = "Best arm: high at test.pass_rate=0.7500. 4/5 arms completed. Failed: bad."
    assert found.conclusion == said
    await result(experiment.conclude())
    assert (await result(experiment.get())).conclusion == said
    await result(experiment.conclude("Seeds matter."))
    assert (await result(experiment.get())).conclusion == "Seeds matter."


async def test_without_a_metric(client: AnyClient, blocking: podium.Client, name: str) -> None:
    """Without a success metric, rank() fails with METRIC_MISSING, but result() works."""
    blocking.experiment(name).declare()
    experiment = client.experiment(name)
    with pytest.raises(podium.FailedPreconditionError) as raised:
        await result(experiment.rank())
    assert raised.value.reason == "METRIC_MISSING"
    found = await result(experiment.result())
    assert (found.best_arm, found.conclusion) == (None, "No arms.")


@pytest.mark.slow
async def test_a_conclusion_that_names_very_many_arms(client: AnyClient, declared: str) -> None:
    """If the conclusion that conclude() makes exceeds the server's limit, it is shortened."""
    experiment = client.experiment(declared)
    for number in range(300):
        arm = podium.ArmResult(f"{number}" + 250 * "x", podium.RunConfig("r"), "failed")
        await result(experiment.record_arm(arm))
    arm = podium.ArmResult("good", podium.RunConfig("r"), "completed")
    await result(experiment.record_arm(arm))
    await result(experiment.conclude())
    conclusion = (await result(experiment.get())).conclusion
    assert len(conclusion.encode()) == 65_536
    assert conclusion.endswith("x…")
    assert (await result(experiment.result())).conclusion.startswith(conclusion[:-2])


# ---- Pages -------------------------------------------------------------------------------


def _page(request: RankRequest, revision: int, ranking_revision: int) -> RankResponse:
    at = int(request.page_token or 0)
    arms = [RankedArm(arm=f"arm{at}", rank=at + 1, status=3)]  # type: ignore[arg-type]
    token = "" if at == 2 else str(at + 1)
    return RankResponse(
        arms=arms, next_page_token=token, revision=revision, ranking_revision=ranking_revision
    )


def _answering(answer: Callable[[Any], Any], kind: Any) -> Callable[[bytes, object], bytes]:
    return lambda raw, _context: bytes(answer(kind.FromString(raw)).SerializeToString())


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_pages_of_one_ranking_are_joined(kind: Any) -> None:
    """The pages of a ranking are joined, even if the experiment's revision changes meanwhile."""
    revisions = iter(range(100))
    answer = _answering(lambda request: _page(request, next(revisions), 7), RankRequest)
    with grpc_server(Rank=answer) as address:
        async with entered(kind(address)) as client:
            found = await result(client.experiment("e").rank())
    assert [(arm.arm, arm.rank) for arm in found.arms] == [("arm0", 1), ("arm1", 2), ("arm2", 3)]
    assert found.revision == 0


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
@pytest.mark.parametrize(("changes", "is_found"), [(3, True), (1_000, False)])
async def test_a_ranking_that_changes_is_read_again(
    kind: Any, changes: int, is_found: bool
) -> None:
    """A ranking that changes between its pages is read again.

    If it keeps changing, an error is raised.
    """
    calls = iter(range(1_000))
    answer = _answering(lambda request: _page(request, 0, min(next(calls), changes)), RankRequest)
    with grpc_server(Rank=answer) as address:
        async with entered(kind(address)) as client:
            if is_found:
                assert len((await result(client.experiment("e").rank())).arms) == 3
            else:
                with pytest.raises(podium.AbortedError, match="top 1,000"):
                    await result(client.experiment("e").rank())


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_pages_of_a_matrix_are_joined(kind: Any) -> None:
    """A matrix of several pages has every arm.

    Its revision is None if the experiment's revision changed between the pages.
    """

    def page(request: ScoresRequest) -> ScoresResponse:
        at = int(request.page_token or 0)
        column = ScoreColumn(metric="m", values=[at], present=[at != 1])
        return ScoresResponse(
            arms=[ScoredArm(arm=f"arm{at}", status=3)],  # type: ignore[arg-type]
            columns=[column],
            next_page_token="" if at == 2 else str(at + 1),
            revision=5 + at,
        )

    with grpc_server(Scores=_answering(page, ScoresRequest)) as address:
        async with entered(kind(address)) as client:
            found = await result(client.experiment("e").scores(["m"]))
    assert [arm.arm for arm in found.arms] == ["arm0", "arm1", "arm2"]
    assert (found["m"], found.revision) == ([0.0, None, 2.0], None)


@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_an_experiment_that_keeps_changing_has_no_result(kind: Any) -> None:
    """result() raises an error if the experiment changes during each of five attempts."""
    revisions = iter(range(1_000))

    def experiment(_raw: bytes, _context: grpc.ServicerContext) -> bytes:
        response = GetExperimentResponse()
        response.experiment.revision = next(revisions)
        return response.SerializeToString()

    def arms(_raw: bytes, _context: grpc.ServicerContext) -> bytes:
        return ListArmsResponse(revision=next(revisions)).SerializeToString()

    with grpc_server(GetExperiment=experiment, ListArms=arms) as address:
        async with entered(kind(address)) as client:
            with pytest.raises(podium.AbortedError, match="changed 5 times"):
                await result(client.experiment("e").result())


def test_a_metric_that_no_arm_has(
    blocking: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A read of a metric that no arm has logs one warning, which suggests similar metrics."""
    experiment = blocking.experiment(name)
    experiment.declare(success_metric="test.acc")
    with experiment.start_arm(podium.RunConfig("a")) as arm:
        assert experiment.rank().arms == []
        arm.log_eval("val", {"acc": 1.0}, step=1)
    assert experiment.rank("val.acc").arms[0].score == 1.0
    assert caplog.messages == []
    for _ in range(2):
        assert experiment.rank("val.ac").arms[0].score is None
    assert experiment.rank_groups("vl.acc").groups[0].statistics.n == 0
    assert caplog.messages == [
        f"podium: no arm of {name!r} has a score on 'val.ac'; did you mean 'val.acc'?",
        f"podium: no arm of {name!r} has a score on 'vl.acc'; did you mean 'val.acc' or 'acc'?",
    ]
    caplog.clear()
    assert experiment.scores(["val.acc", "val.a"])["val.a"] == [None]
    assert experiment.scores(["val.acc"], status="failed").arms == []
    assert experiment.curve("vl.a").curves == ()
    assert caplog.messages == [
        f"podium: no arm of {name!r} has a score on 'val.a'; did you mean 'val.acc'?",
        f"podium: no arm of {name!r} has values by step for 'vl.a'; did you mean 'val.acc'?",
    ]


def test_a_metric_that_other_arms_have(
    blocking: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a request leaves out the arms that have its metric, no warning is logged."""
    experiment = blocking.experiment(name)
    experiment.declare()
    for arm, metrics in (("a", {"loss": 1.0}), ("b", {"other": 1.0})):
        experiment.record_arm(
            podium.ArmResult(arm, podium.RunConfig(arm), "completed", metrics=metrics)
        )
    assert experiment.rank("loss", name_prefix="b").arms[0].score is None
    assert experiment.scores(["loss"], name_prefix="b")["loss"] == [None]
    assert experiment.curve("loss", ["b"]).curves == ()
    assert caplog.messages == []


def test_configuration_values_that_no_arm_has(
    blocking: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If no arm has the path of a filter by configuration, one warning suggests similar paths.

    If an arm has the path but no arm has the value, no warning is logged.
    """
    experiment = blocking.experiment(name)
    experiment.declare(success_metric="m")
    config = podium.RunConfig(
        "r", model=podium.ModelConfig("qwen"), algorithm=podium.Component("sft"), seed=3
    )
    assert list(experiment.arms(config={"sed": 1})) == []
    experiment.record_arm(podium.ArmResult("a", config, "completed"))
    assert list(experiment.arms(config={"seed": 1})) == []
    assert caplog.messages == []
    for _ in range(2):
        assert list(experiment.arms(config={"sed": 1})) == []
    assert experiment.rank(config={"model.nam": "x"}).arms == []
    assert experiment.scores(["m"], config={"algorithm.knid": "x"}).arms == []
    text = f"podium: no arms of {name!r} match: none has a configuration value"
    assert caplog.messages == [
        f"{text} 'sed'; did you mean 'seed'?",
        f"{text} 'model.nam'; did you mean 'model.name'?",
        f"{text} 'algorithm.knid'; did you mean 'algorithm.kind'?",
    ]


def test_configuration_values_of_very_many_arms(
    blocking: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To find the path of a filter by configuration, only a limited number of arms is fetched.

    If there are more arms, one of them may have the path, so no warning is logged.
    """
    monkeypatch.setattr(near_names, "_ARMS", 1)
    experiment = blocking.experiment(name)
    experiment.declare(success_metric="m")
    for arm, seed in (("a", None), ("b", 3)):
        config = podium.RunConfig(arm, seed=seed)
        experiment.record_arm(podium.ArmResult(arm, config, "completed"))
    assert list(experiment.arms(config={"seed": 1})) == []
    assert caplog.messages == []
