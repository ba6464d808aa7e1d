"""Tests that values and results of any shape are the same after encoding and decoding."""

from typing import Any

from hypothesis import given
from podium._model import results
from podium._wire import codec
from podium.v1 import arm_result_pb2, experiment_pb2
from podium.v1.value_pb2 import Value

from tests.random.strategies import arm_results, experiments, values
from tests.unit.wire.exact import exact


@given(values)
def test_a_value_comes_back_exactly(value: Any) -> None:
    """A value of any depth, encoded as a message and decoded again, has the same types and bits."""
    encoded = codec.value_to_proto(value).SerializeToString()
    assert exact(codec.value_from_proto(Value.FromString(encoded))) == exact(value)


@given(arm_results())
def test_an_arm_comes_back_exactly(arm: results.ArmResult) -> None:
    """An arm of any shape, encoded as a message and decoded again, has the same types and bits."""
    encoded = codec.arm_result_to_proto(arm).SerializeToString()
    message = arm_result_pb2.ArmResult.FromString(encoded)
    assert exact(codec.arm_result_from_proto(message)) == exact(arm)


@given(experiments())
def test_an_experiment_comes_back_exactly(experiment: results.Experiment) -> None:
    """An experiment of any shape, encoded and decoded again, has the same types and bits."""
    encoded = codec.experiment_to_proto(experiment).SerializeToString()
    message = experiment_pb2.Experiment.FromString(encoded)
    assert exact(codec.experiment_from_proto(message)) == exact(experiment)
