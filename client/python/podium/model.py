"""The results of experiments as plain Python data: dataclasses and enums of `podium`."""

from podium._model.config import Component, DataConfig, ModelConfig, RunConfig
from podium._model.results import (
    Annotations,
    ArmCounts,
    ArmResult,
    ArmSummary,
    Attempt,
    EvalResult,
    Experiment,
    Provenance,
    RunResult,
)
from podium._values.coerce import Value
from podium._values.enums import ArmStatus, Direction, ExperimentStatus

__all__ = [
    "Annotations",
    "ArmCounts",
    "ArmResult",
    "ArmStatus",
    "ArmSummary",
    "Attempt",
    "Component",
    "DataConfig",
    "Direction",
    "EvalResult",
    "Experiment",
    "ExperimentStatus",
    "ModelConfig",
    "Provenance",
    "RunConfig",
    "RunResult",
    "Value",
]
