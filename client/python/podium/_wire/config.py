"""Converts RunConfig and RunResult to and from podium.v1."""

from functools import partial

from podium._model import results
from podium._values import coerce
from podium._wire.tables import Codec, Field, repeated
from podium._wire.values import (
    value_from_proto,
    value_to_proto,
    values_from_proto,
    values_to_proto,
)
from podium.v1 import run_config_pb2, run_result_pb2

__all__ = [
    "component_from_proto",
    "component_to_proto",
    "data_config_from_proto",
    "data_config_to_proto",
    "model_config_from_proto",
    "model_config_to_proto",
    "run_config_from_proto",
    "run_config_to_proto",
    "run_result_from_proto",
    "run_result_to_proto",
]


def _value_map(name: str) -> Field:
    return Field(partial(values_to_proto, where=name), values_from_proto)


_VALUES = repeated(Field(value_to_proto, value_from_proto))
_TAGS = Field(partial(coerce.texts, where="tags"), list)
_METRICS = Field(partial(coerce.metrics, where="metrics"), dict)
_SEED = Field(partial(coerce.integer, where="seed"), int)

_DATA = Codec(results.DataConfig, run_config_pb2.DataConfig, rows=_VALUES, transforms=_VALUES)
data_config_to_proto, data_config_from_proto = _DATA.field

_MODEL = Codec(results.ModelConfig, run_config_pb2.ModelConfig)
model_config_to_proto, model_config_from_proto = _MODEL.field

_COMPONENT = Codec(results.Component, run_config_pb2.Component, params=_value_map("params"))
component_to_proto, component_from_proto = _COMPONENT.field

_RUN_CONFIG = Codec(
    results.RunConfig,
    run_config_pb2.RunConfig,
    data=_DATA.field,
    model=_MODEL.field,
    algorithm=_COMPONENT.field,
    backend=_COMPONENT.field,
    eval=_value_map("eval"),
    validation=_value_map("validation"),
    seed=_SEED,
    tags=_TAGS,
    extras=_value_map("extras"),
)
run_config_to_proto, run_config_from_proto = _RUN_CONFIG.field

_RUN_RESULT = Codec(
    results.RunResult,
    run_result_pb2.RunResult,
    metrics=_METRICS,
    artifacts=Field(dict, dict),
    extras=_value_map("extras"),
)
run_result_to_proto, run_result_from_proto = _RUN_RESULT.field
