"""Tests of limits that apply to stored data, or to all events of a call together."""

import podium
import pytest
from podium_server.testing import running_server


def test_metadata_of_several_declarations_stays_within_its_nodes() -> None:
    """If the stored metadata would get too many values, the whole declaration is rejected."""
    with running_server() as server, podium.Client(server.address) as client:
        experiment = client.experiment("x")
        experiment.declare(metadata={"first": [0] * 6_000})
        with pytest.raises(podium.InvalidArgumentError) as refused:
            experiment.declare(hypothesis="never stored", metadata={"second": [0] * 6_000})
        assert refused.value.reason == "VALUE_INVALID"
        found = experiment.get()
    assert list(found.metadata) == ["first"]
    assert found.hypothesis is None


def test_metrics_of_run_results_count_as_metrics_of_the_call() -> None:
    """A call is rejected if its 11 run_results have 1,000 metrics each."""
    result = podium.RunResult("r", "ok", metrics={f"key{n}": 0.5 for n in range(1_000)})
    endings = [podium.events.arm_finished("a", run_result=result) for _ in range(11)]
    with running_server() as server, podium.Client(server.address) as client:
        with pytest.raises(podium.InvalidArgumentError) as refused:
            client.record("x", endings)
        assert refused.value.reason == "LIMIT_EXCEEDED"
