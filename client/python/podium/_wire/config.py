"""Converts RunConfig and RunResult to and from podium.v1."""

from podium._model import results
from podium._values import coerce
from podium._wire.values import (
    get,
    maybe,
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


def data_config_to_proto(data: results.DataConfig) -> run_config_pb2.DataConfig:
    """Writes where data comes from."""
    return run_config_pb2.DataConfig(
        source_kind=data.source_kind,
        dataset_id=data.dataset_id,
        dataset_name=data.dataset_name,
        path=data.path,
        hf_dataset=data.hf_dataset,
        hf_split=data.hf_split,
        rows=[value_to_proto(row) for row in data.rows],
        transforms=[value_to_proto(transform) for transform in data.transforms],
    )


def data_config_from_proto(message: run_config_pb2.DataConfig) -> results.DataConfig:
    """Reads where data comes from."""
    return results.DataConfig(
        source_kind=message.source_kind,
        dataset_id=get(message, "dataset_id"),
        dataset_name=get(message, "dataset_name"),
        path=get(message, "path"),
        hf_dataset=get(message, "hf_dataset"),
        hf_split=get(message, "hf_split"),
        rows=[value_from_proto(row) for row in message.rows],
        transforms=[value_from_proto(transform) for transform in message.transforms],
    )


def model_config_to_proto(config: results.ModelConfig) -> run_config_pb2.ModelConfig:
    """Writes which model is trained."""
    return run_config_pb2.ModelConfig(
        name=config.name,
        load_checkpoint_path=config.load_checkpoint_path,
        init_from_checkpoint=config.init_from_checkpoint,
        renderer_name=config.renderer_name,
    )


def model_config_from_proto(message: run_config_pb2.ModelConfig) -> results.ModelConfig:
    """Reads which model is trained."""
    return results.ModelConfig(
        name=message.name,
        load_checkpoint_path=get(message, "load_checkpoint_path"),
        init_from_checkpoint=get(message, "init_from_checkpoint"),
        renderer_name=get(message, "renderer_name"),
    )


def component_to_proto(component: results.Component) -> run_config_pb2.Component:
    """Writes a part of a run."""
    return run_config_pb2.Component(
        kind=component.kind, params=values_to_proto(component.params, "params")
    )


def component_from_proto(message: run_config_pb2.Component) -> results.Component:
    """Reads a part of a run."""
    return results.Component(kind=message.kind, params=values_from_proto(message.params))


def run_config_to_proto(config: results.RunConfig) -> run_config_pb2.RunConfig:
    """Writes what an arm was asked to do."""
    return run_config_pb2.RunConfig(
        name=config.name,
        data=maybe(data_config_to_proto, config.data),
        model=maybe(model_config_to_proto, config.model),
        algorithm=maybe(component_to_proto, config.algorithm),
        backend=maybe(component_to_proto, config.backend),
        eval=values_to_proto(config.eval, "eval"),
        validation=values_to_proto(config.validation, "validation"),
        seed=coerce.optional(coerce.integer, config.seed, "seed"),
        tags=coerce.texts(config.tags, "tags"),
        extras=values_to_proto(config.extras, "extras"),
    )


def run_config_from_proto(message: run_config_pb2.RunConfig) -> results.RunConfig:
    """Reads what an arm was asked to do."""
    return results.RunConfig(
        name=message.name,
        data=maybe(data_config_from_proto, get(message, "data")),
        model=maybe(model_config_from_proto, get(message, "model")),
        algorithm=maybe(component_from_proto, get(message, "algorithm")),
        backend=maybe(component_from_proto, get(message, "backend")),
        eval=values_from_proto(message.eval),
        validation=values_from_proto(message.validation),
        seed=get(message, "seed"),
        tags=list(message.tags),
        extras=values_from_proto(message.extras),
    )


def run_result_to_proto(result: results.RunResult) -> run_result_pb2.RunResult:
    """Writes what a training backend returned."""
    return run_result_pb2.RunResult(
        run_id=result.run_id,
        status=result.status,
        metrics=coerce.metrics(result.metrics, "metrics"),
        artifacts=result.artifacts,
        error=result.error,
        extras=values_to_proto(result.extras, "extras"),
    )


def run_result_from_proto(message: run_result_pb2.RunResult) -> results.RunResult:
    """Reads what a training backend returned."""
    return results.RunResult(
        run_id=message.run_id,
        status=message.status,
        metrics=dict(message.metrics),
        artifacts=dict(message.artifacts),
        error=get(message, "error"),
        extras=values_from_proto(message.extras),
    )
