"""Tests of reads that take several calls, with both clients.

The reads are comparisons of arms and groups, curves, rankings and tables of arms. Other tests are
about the names that errors suggest.
"""

import grpc
import podium
import pytest
from podium.v1.config_filter_pb2 import ConfigFilter, NumberRange
from podium.v1.results_service_pb2 import ListArmsRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.testing import RunningServer

from tests.client.client.both import AnyClient, items, result

SCORES = {"wide": (0.7, 0.8, 0.9), "narrow": (0.4, 0.6)}


def seed(group: str, number: int, score: float, status: str = "completed") -> podium.ArmResult:
    """Returns an arm of a group, with three in-loop rows and a post-training row."""
    name = f"{group}_{number}"
    evals = [podium.EvalResult("val", metrics={"acc": score * k}, step=10 * k) for k in range(3)]
    evals.append(podium.EvalResult("test", metrics={"acc": score}, tags=["test"]))
    config = podium.RunConfig(name, seed=number)
    return podium.ArmResult(name, config, status, evals=evals, group_name=group)


@pytest.fixture
def sweep(blocking: podium.Client, declared: str) -> str:
    """Records two groups and an arm without a group. Returns the experiment's name.

    One arm of the second group has failed.
    """
    experiment = blocking.experiment(declared)
    for group, scores in SCORES.items():
        for number, score in enumerate(scores):
            experiment.record_arm(seed(group, number, score))
    experiment.record_arm(seed("narrow", 2, 0.1, "failed"))
    alone = podium.ArmResult("alone", podium.RunConfig("alone"), "running", {"loss": 1.0})
    experiment.record_arm(alone)
    return declared


async def test_groups_are_compared(client: AnyClient, sweep: str) -> None:
    """A comparison of groups counts completed arms and names the arms that are left out."""
    found = await result(client.experiment(sweep).compare("wide", "narrow"))
    assert found.left.arms == dict.fromkeys(["wide_0", "wide_1", "wide_2"], "completed")
    assert (found.right.is_group, found.right.left_out) == (True, {"narrow_2": "failed"})
    assert [metric.label for metric in found.metrics] == ["val.acc", "test.acc"]
    test = found.metrics[1]
    assert test.difference.difference == pytest.approx(0.3)
    assert test.difference.p_value == pytest.approx(0.15, abs=0.01)


async def test_other_statuses_and_evals(client: AnyClient, sweep: str) -> None:
    """compare() counts only arms with the given statuses, and compares only the given evals."""
    experiment = client.experiment(sweep)
    statuses = [podium.ArmStatus.COMPLETED, podium.ArmStatus.FAILED]
    found = await result(experiment.compare("wide", "narrow", status=statuses, evals=["test"]))
    assert found.right.left_out == {}
    assert found.metrics[0].right.statistics.n == 3
    assert len(found.metrics) == 1


async def test_arms_are_compared(client: AnyClient, sweep: str) -> None:
    """A single arm can be compared even if it is not completed."""
    found = await result(client.experiment(sweep).compare("wide_0", "alone"))
    assert (found.left.is_group, found.right.arms) == (False, {"alone": "running"})
    assert found.metrics[1].left.statistics.mean == 0.7
    assert found.metrics[1].right.missing == ("alone",)


async def test_a_name_of_both_kinds(client: AnyClient, blocking: podium.Client, sweep: str) -> None:
    """A name that both a group and an arm have means the group, unless `kind` is given."""
    blocking.experiment(sweep).record_arm(seed("wide", 0, 0.1))
    both = podium.ArmResult("wide", podium.RunConfig("wide"), "completed", {"loss": 2.0})
    blocking.experiment(sweep).record_arm(both)
    experiment = client.experiment(sweep)
    assert (await result(experiment.compare("wide", "alone"))).left.is_group
    found = await result(experiment.compare("wide", "alone", kind="arm"))
    assert not found.left.is_group
    assert found.metrics[-1].difference.difference == 1.0


async def test_unknown_names_kinds_and_statuses(client: AnyClient, sweep: str) -> None:
    """compare() rejects unknown names, and kinds and statuses that do not exist.

    The error suggests similar names. If a group has the name of the missing arm, the error says so.
    It also does so if an arm has the name of the missing group.
    """
    experiment = client.experiment(sweep)
    with pytest.raises(podium.NotFoundError, match=r"has no arm or group 'nobody'$"):
        await result(experiment.compare("wide", "nobody"))
    near = r"has no arm or group 'narow'; did you mean 'narrow'"
    with pytest.raises(podium.NotFoundError, match=near):
        await result(experiment.compare("wide", "narow"))
    near = r"has no group 'Wide'; did you mean 'wide'\?$"
    with pytest.raises(podium.NotFoundError, match=near):
        await result(experiment.compare("narrow", "Wide", kind="group"))
    with pytest.raises(
        podium.NotFoundError, match="has no group 'alone', but there is an arm of that name"
    ):
        await result(experiment.compare("wide", "alone", kind="group"))
    with pytest.raises(
        podium.NotFoundError, match="has no arm 'wide', but there is a group of that name; "
    ):
        await result(experiment.compare("wide", "alone", kind="arm"))
    with pytest.raises(ValueError, match="left and right are both 'wide'"):
        await result(experiment.compare("wide", "wide"))
    with pytest.raises(podium.NotFoundError, match="not_there"):
        await result(client.experiment("not_there").compare("wide", "narrow"))
    with pytest.raises(ValueError, match="kind must be 'arm', 'group' or None, not 'arms'"):
        await result(experiment.compare("wide", "narrow", kind="arms"))
    with pytest.raises(ValueError, match="status must be one of pending, "):
        await result(experiment.compare("wide", "narrow", status="done"))


async def test_curves_of_arms(client: AnyClient, sweep: str) -> None:
    """The curve of an arm has its in-loop rows by step, and no post-training row."""
    found = await result(client.experiment(sweep).curve("val.acc"))
    assert [curve.name for curve in found.curves] == [
        *(f"wide_{k}" for k in range(3)),
        *(f"narrow_{k}" for k in range(2)),
    ]
    points = [(point.step, point.statistics.mean) for point in found.curves[0].points]
    assert points == [(0, 0.0), (10, 0.7), (20, 1.4)]
    assert (found.without, found.left_out) == (("alone",), {"narrow_2": "failed"})


async def test_curves_of_groups(client: AnyClient, sweep: str) -> None:
    """The curve of a group has, for each step, the mean, the interval and the count."""
    found = await result(client.experiment(sweep).curve("val.acc", by_group=True))
    wide, narrow = found.curves
    assert (wide.name, wide.is_group, len(wide.arms)) == ("wide", True, 3)
    last = narrow.points[-1].statistics
    assert (last.n, last.mean) == (2, pytest.approx(1.0))
    assert last.half_width == pytest.approx(12.7062 * 0.2, rel=1e-4)


async def test_curves_by_name_and_status(client: AnyClient, sweep: str) -> None:
    """Arms that are given by name are shown, whatever their status.

    Of a group, only arms with the chosen status are shown.
    """
    experiment = client.experiment(sweep)
    found = await result(experiment.curve("val.acc", ["narrow_2", "wide_0"]))
    assert [curve.name for curve in found.curves] == ["wide_0", "narrow_2"]
    found = await result(experiment.curve("val.acc", ["narrow"], by_group=True))
    assert found.left_out == {"narrow_2": "failed"}
    found = await result(experiment.curve("val.acc", status="failed"))
    assert [curve.name for curve in found.curves] == ["narrow_2"]


async def test_curves_of_unknown_metrics_arms_and_groups(client: AnyClient, sweep: str) -> None:
    """If no arm has values of a metric by step, the result has no curves.

    An unknown arm or group is rejected.
    """
    experiment = client.experiment(sweep)
    assert (await result(experiment.curve("loss"))).curves == ()
    with pytest.raises(podium.NotFoundError, match=r"has no arm 'nobody'$"):
        await result(experiment.curve("val.acc", ["wide_0", "nobody"]))
    with pytest.raises(podium.NotFoundError, match="has no arm 'wide0'; did you mean 'wide_0'"):
        await result(experiment.curve("val.acc", ["wide0"]))
    with pytest.raises(
        podium.NotFoundError, match="has no arm 'wide', but there is a group of that name; "
    ):
        await result(experiment.curve("val.acc", ["wide"]))
    with pytest.raises(
        podium.NotFoundError, match="'wide_0', but there is an arm of that name in group 'wide'"
    ):
        await result(experiment.curve("val.acc", ["wide_0"], by_group=True))


async def test_similar_names_of_experiments_and_arms(client: AnyClient, sweep: str) -> None:
    """If a read names an unknown experiment or arm, the error suggests similar names.

    The error of a write to an unknown experiment does not.
    """
    with pytest.raises(podium.NotFoundError, match="; did you mean 'narrow_1'") as caught:
        await result(client.experiment(sweep).arm("narrow1").get())
    assert caught.value.message == str(caught.value)
    with pytest.raises(podium.NotFoundError, match="; did you mean 'narrow_1'"):
        await result(client.experiment(sweep).arm("narrow1").delete())
    unknown = f"{sweep}x"
    with pytest.raises(podium.NotFoundError, match=f"; did you mean .*'{sweep}'"):
        await items(client.experiment(unknown).arms())
    with pytest.raises(podium.NotFoundError) as refused:
        await result(client.experiment(unknown).arm("a").log({"m": 1}))
    assert "did you mean" not in str(refused.value)


async def test_a_ranking_has_all_arms_or_the_first(client: AnyClient, sweep: str) -> None:
    """A ranking has all arms or groups, or with `top` only the first of them."""
    experiment = client.experiment(sweep)
    names = [entry.arm for entry in (await result(experiment.rank("test.acc"))).arms]
    assert names == ["wide_2", "wide_1", "wide_0", "narrow_1", "narrow_0"]
    assert len((await result(experiment.rank("test.acc", top=2))).arms) == 2
    groups = (await result(experiment.rank_groups("test.acc"))).groups
    assert [group.name for group in groups] == ["wide", "narrow", "alone"]
    assert len((await result(experiment.rank_groups("test.acc", top=1))).groups) == 1


def test_a_reversed_range_is_an_error(
    server: RunningServer, blocking: podium.Client, declared: str
) -> None:
    """A reversed range in a filter is rejected by the client and by the server."""
    with pytest.raises(ValueError, match=r"config\['seed'\] is the range from 5 to 1"):
        list(blocking.experiment(declared).arms(config={"seed": (5, 1)}))
    reversed_range = ConfigFilter(path="seed", range=NumberRange(min=5, max=1))
    request = ListArmsRequest(experiment=declared, config=[reversed_range])
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        ResultsServiceStub(channel).ListArms(request)
    assert "config[0].range is from 5 to 1" in str(caught.value)


def test_tables_of_arms_have_configuration_values(blocking: podium.Client, declared: str) -> None:
    """In a table of arms, each value of the configuration has a column, but a list has none."""
    config = podium.RunConfig(
        "a", algorithm=podium.Component("sft", {"lr": 0.1, "layers": [1]}), seed=0
    )
    blocking.experiment(declared).start_arm(config)
    (summary,) = blocking.experiment(declared).arms()
    whole = blocking.arm(declared, "a").get()
    values = {name: value for name, value in summary.record().items() if name.startswith("config")}
    assert values == {
        "config.name": "a",
        "config.algorithm.kind": "sft",
        "config.algorithm.params.lr": 0.1,
        "config.seed": 0,
    }
    assert whole.record() == summary.record()
