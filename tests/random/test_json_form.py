"""Tests that results of any shape are the same after they were written as JSON and read."""

import json

from hypothesis import given
from podium import ArmResult, Experiment
from podium._files import json_form

from tests.random.strategies import arm_results, experiments
from tests.unit.wire.exact import exact


@given(arm_results())
def test_an_arm_comes_back_exactly(arm: ArmResult) -> None:
    """An arm of any shape, written as strict JSON and read, has the same types and bits."""
    written = json.dumps(json_form.to_json(arm), allow_nan=False)
    read = json_form.arm_from_json(json.loads(written))
    assert exact(read, one_nan=True) == exact(arm, one_nan=True)


@given(experiments())
def test_an_experiment_comes_back_exactly(experiment: Experiment) -> None:
    """An experiment of any shape, written as strict JSON and read, has the same types and bits."""
    written = json.dumps(json_form.to_json(experiment), allow_nan=False)
    read = json_form.record_from_json(Experiment, json.loads(written), "it")
    assert read.status == experiment.status
    read.status = experiment.status
    assert exact(read, one_nan=True) == exact(experiment, one_nan=True)
