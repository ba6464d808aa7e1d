"""The dataclasses of run configurations."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from podium._values import coerce
from podium._values.base import ModelBase

__all__ = [
    "Component",
    "DataConfig",
    "ModelConfig",
    "RunConfig",
    "values_by_path",
    "without_identity",
]


@dataclass(eq=False, repr=False)
class DataConfig(ModelBase):
    """The source of the training data."""

    source_kind: str
    """The kind of source, such as `in_memory`, `path` or `hf`."""
    dataset_id: str | None = None
    """The id of a registered dataset."""
    dataset_name: str | None = None
    """The name of a registered dataset."""
    path: str | None = None
    """The path of a file or folder with the data."""
    hf_dataset: str | None = None
    """The name of a Hugging Face dataset."""
    hf_split: str | None = None
    """The split of the Hugging Face dataset."""
    rows: list[Any] = field(default_factory=list)
    """The rows of the data as JSON-like values, if the configuration itself contains the rows."""
    transforms: list[Any] = field(default_factory=list)
    """The transformations of the rows, in order, as JSON-like values."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "source_kind")
        self._coerce_optional(coerce.text, "dataset_id", "dataset_name", "path")
        self._coerce_optional(coerce.text, "hf_dataset", "hf_split")
        self._coerce(coerce.settings_list, "rows", "transforms")


@dataclass(eq=False, repr=False)
class ModelConfig(ModelBase):
    """The model that a run trains, and its initial checkpoint."""

    name: str
    """The name of the model."""
    load_checkpoint_path: str | None = None
    """The checkpoint from which training continues, optimizer state included."""
    init_from_checkpoint: str | None = None
    """The checkpoint from whose weights training starts."""
    renderer_name: str | None = None
    """The name of the chat template or renderer."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "name")
        self._coerce_optional(coerce.text, "load_checkpoint_path", "init_from_checkpoint")
        self._coerce_optional(coerce.text, "renderer_name")


@dataclass(eq=False, repr=False)
class Component(ModelBase):
    """An exchangeable part of a run: its algorithm or its backend."""

    kind: str
    """The implementation, such as `sft` or `local`."""
    params: dict[str, Any] = field(default_factory=dict)
    """The parameters of the component: JSON-like values by name. An int stays an int."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "kind")
        self._coerce(coerce.settings_map, "params")


@dataclass(eq=False, repr=False)
class RunConfig(ModelBase):
    """The complete configuration of one training run, and so of one arm."""

    name: str
    """The name of the run. It is also the name of the arm, unless `start_arm` gets another name."""
    data: DataConfig | None = None
    """The source of the training data."""
    model: ModelConfig | None = None
    """The model that the run trains."""
    algorithm: Component | None = None
    """The training algorithm."""
    backend: Component | None = None
    """The system that ran the training."""
    eval: dict[str, Any] = field(default_factory=dict)
    """Settings of the post-training evaluation: JSON-like values by key."""
    validation: dict[str, Any] = field(default_factory=dict)
    """Settings of the in-loop evaluation: JSON-like values by key."""
    seed: int | None = None
    """The random seed, which may be 0; None if none was chosen."""
    tags: list[str] = field(default_factory=list)
    """Labels: any strings."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Other settings, which have no field here: JSON-like values by key."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "name")
        self._coerce_optional(coerce.instance_of(DataConfig), "data")
        self._coerce_optional(coerce.instance_of(ModelConfig), "model")
        self._coerce_optional(coerce.instance_of(Component), "algorithm", "backend")
        self._coerce(coerce.settings_map, "eval", "validation", "extras")
        self._coerce_optional(coerce.integer, "seed")
        self._coerce(coerce.texts, "tags")


def values_by_path(config: RunConfig) -> dict[str, Any]:
    """Returns the values of a configuration by the paths that filters use, such as `model.name`.

    Lists and unset fields are left out.
    """
    return dict(_values(vars(config), ""))


def _values(parts: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, part in parts.items():
        inner = vars(part) if isinstance(part, ModelBase) else part
        if isinstance(inner, dict):
            yield from _values(inner, f"{prefix}{name}.")
        elif inner is not None and not isinstance(inner, list):
            yield f"{prefix}{name}", inner


def without_identity(config: RunConfig) -> RunConfig:
    """Returns a configuration without name and seed, to compare everything else.

    A part such as `data` in which no field is set becomes None, because both mean the same.
    """
    parts = {name: getattr(config, name) for name in ("data", "model", "algorithm", "backend")}
    empty: dict[str, Any] = {
        name: None for name, part in parts.items() if part and not any(vars(part).values())
    }
    return replace(config, name="", seed=None, **empty)
