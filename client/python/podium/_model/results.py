"""The results of experiments as plain Python data.

Every class is a dataclass. Constructors accept numbers of any library, and copy lists and dicts.
They raise a TypeError for a wrong type, and a ValueError for a wrong value such as an unknown
status. The error message begins with the name of the field. Attributes marked as *output only* are
set by the server. Constructors do not accept them, and comparisons ignore them. NaN equals NaN when
whole results are compared.

Times are aware datetimes in UTC. A *value* is None, a bool, int, float or str, or a list or a
str-keyed dict of values. A status or direction is a member of its enum, or the string
`unknown(N)` if a newer server sent it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from podium import scoring
from podium._model.annotations import Annotations, Provenance
from podium._model.config import Component, DataConfig, ModelConfig, RunConfig, values_by_path
from podium._model.experiment import ArmCounts, Experiment
from podium._model.primary_fields import drop_copied, mirror_primary, own_fields
from podium._values import coerce
from podium._values.arguments import StepLike
from podium._values.base import ModelBase
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


@dataclass(eq=False, repr=False)
class EvalResult(ModelBase):
    """One evaluation of an arm: a row. No other row of the arm has the same name and step."""

    name: str
    """The name of the eval: any text, which may have dots, slashes and spaces."""
    benchmark_id: str | None = None
    """The id of the benchmark, if it differs from the name."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The measured numbers by key."""
    breakdowns: dict[str, Any] = field(default_factory=dict)
    """Results of parts of the benchmark: JSON-like values by key. Keys become strings."""
    eval_seconds: float = field(default=0.0, metadata={"unset": 0.0})
    """The duration of the evaluation in seconds; 0.0 if it was not recorded."""
    step: int | None = None
    """The training step of an in-loop eval; None for a post-training eval."""
    tags: list[str] = field(default_factory=list)
    """Labels: any strings. `test` makes a post-training row a candidate for the primary eval."""
    model_ref: str | None = None
    """The evaluated model, if it is not the arm's own."""
    revision: int = field(init=False, default=0, compare=False, repr=False)
    """Output only. The experiment's revision in which the row last changed."""
    event_time: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """The time of the measurement. Not a constructor argument; `record_arm` records it."""
    record_time: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The time at which the server stored the row as it is now."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "name")
        self._coerce_optional(coerce.text, "benchmark_id", "model_ref")
        self._coerce(coerce.metrics, "metrics")
        self._coerce(coerce.value_map, "breakdowns")
        self._coerce(coerce.number, "eval_seconds")
        self._coerce_optional(coerce.integer, "step")
        self._coerce(coerce.texts, "tags")

    def record(self) -> dict[str, Any]:
        """Returns the row as a row of a table: one dict of fields, with a key for each metric."""
        return {
            "eval": self.name,
            "step": self.step,
            **{f"eval.{key}": self.metrics[key] for key in sorted(self.metrics)},
            "tags": self.tags,
            "benchmark_id": self.benchmark_id,
            "model_ref": self.model_ref,
            "eval_seconds": self.eval_seconds or None,
        }


@dataclass(eq=False, repr=False)
class RunResult(ModelBase):
    """The result that the training backend returned. No score comes from it."""

    run_id: str
    """The backend's id of the run."""
    status: str
    """The backend's own word for the state in which the run ended."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The training metrics that the backend returned."""
    artifacts: dict[str, str] = field(default_factory=dict)
    """The path or URL of each artifact of the run, by the artifact's name."""
    error: str | None = None
    """Why the run failed, in the backend's words."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Anything else that the backend returned: JSON-like values by key."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "run_id", "status")
        self._coerce(coerce.metrics, "metrics")
        self._coerce(coerce.text_map, "artifacts")
        self._coerce_optional(coerce.text, "error")
        self._coerce(coerce.value_map, "extras")


@dataclass(eq=False, repr=False)
class Attempt(ModelBase):
    """One start of an arm's training."""

    id: str
    """An id that only this attempt uses."""
    order: int
    """The place in the order of attempts: the attempt with the greatest number is the newest."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "id")
        self._coerce(coerce.integer, "order")


@mirror_primary
@dataclass(eq=False, repr=False)
class ArmResult(ModelBase):
    """One arm of an experiment: one training run, with all of its results.

    While `eval_metrics`, `eval_breakdowns` and `eval_seconds` are empty, they return those of the
    primary eval in `evals`. If you give them, your values are kept. The primary eval is the first
    post-training row tagged `test`, or else the first post-training row, or else the first row.
    Rows with a `model_ref` are never primary.
    """

    name: str
    """The name of the arm, unique in its experiment."""
    run_config: RunConfig
    """The configuration of the arm's training."""
    status: str
    """The status of the arm's training: an ArmStatus, or its value as a string."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Training metrics: the latest value of each key."""
    eval_metrics: dict[str, float] = field(default_factory=dict)
    """The eval metrics that were given or, by default, those of the primary eval."""
    eval_breakdowns: dict[str, Any] = field(default_factory=dict)
    """The breakdowns that were given or, by default, those of the primary eval."""
    evals: list[EvalResult] = field(default_factory=list)
    """The eval rows, in the order in which the server first accepted them."""
    run_id: str | None = None
    """The id of the training run in the system that ran it."""
    error: str | None = None
    """The reason why the arm failed."""
    train_seconds: float | None = None
    """The duration of training in seconds."""
    eval_seconds: float | None = None
    """The given duration of evaluation in seconds or, by default, that of the primary eval."""
    run_result: RunResult | None = None
    """The result of the training backend, unchanged."""
    group_id: str | None = None
    """The id of the group of arms that repeat one configuration."""
    group_name: str | None = None
    """The name of the group of arms that repeat one configuration."""
    experiment: str = field(init=False, default="", compare=False, repr=False)
    """Output only. The experiment that the arm belongs to."""
    revision: int = field(init=False, default=0, compare=False, repr=False)
    """Output only. The experiment's revision in which the arm or one of its rows last changed."""
    create_time: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The time at which the arm was first recorded."""
    update_time: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The time at which the arm or one of its rows last changed."""
    attempt: Attempt | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The newest attempt; None if none was started."""
    last_heard: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The time at which the arm's newest event or heartbeat reached the server."""
    annotations: Annotations | None = field(init=False, default=None, compare=False, repr=False)
    """The notes, tags and group given by `annotate`.

    Not a constructor argument; `record_arm` records them.
    """
    tags: list[str] = field(init=False, default_factory=list, compare=False, repr=False)
    """Output only. The tags of the run_config, with the changes by `annotate`."""
    provenance: Provenance | None = field(init=False, default=None, compare=False, repr=False)
    """The newest attempt's provenance. Not a constructor argument; `record_arm` records it."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "name")
        self._coerce_optional(coerce.instance_of(RunConfig), "run_config")
        self._coerce(coerce.member_of(ArmStatus), "status")
        self._coerce(coerce.metrics, "metrics")
        self._coerce(coerce.list_of(EvalResult), "evals")
        drop_copied(self)
        self._coerce_given()
        self._coerce_optional(coerce.text, "run_id", "error", "group_id", "group_name")
        self._coerce_optional(coerce.number, "train_seconds")
        self._coerce_optional(coerce.instance_of(RunResult), "run_result")
        self.tags = list(getattr(self.run_config, "tags", ()))

    def _coerce_given(self) -> None:
        given = own_fields(self)
        given["eval_metrics"] = coerce.metrics(given["eval_metrics"], "eval_metrics")
        given["eval_breakdowns"] = coerce.value_map(given["eval_breakdowns"], "eval_breakdowns")
        given["eval_seconds"] = coerce.optional(
            coerce.number, given["eval_seconds"], "eval_seconds"
        )

    def eval(self, name: str, *, step: StepLike | None = None) -> EvalResult | None:
        """Returns an eval row.

        Without a step, returns the post-training row of that name if there is one, else the in-loop
        row with the greatest step. With a step, which may be 0, returns the in-loop row at exactly
        that step. Returns None if there is no such row.

        Raises:
            InvalidArgumentError: The name is empty, too long, or has a control character.
        """
        name = coerce.text(name, "name")
        step = coerce.optional(coerce.integer, step, "step")
        found = scoring.find_eval(self.evals, name, step)
        if found is None:
            scoring.check_eval_name(name)
        return found

    def score(self, metric: str) -> float | None:
        """Returns the value of a metric, or None if there is none. NaN is a value.

        `pass_rate` is looked up in `eval_metrics`, then in `metrics`. `bench.pass_rate` is the key
        `pass_rate` of `eval("bench")`. If there are several dots, each is tried as the separator,
        from the left. If none gives a value, the whole text is looked up like a metric without a
        dot.

        Raises:
            InvalidArgumentError: The metric is empty, too long, or has a control character.
        """
        found = scoring.score(self, coerce.text(metric, "metric"))
        if found is None:
            scoring.check_metric(metric)
            return None
        return found.value

    def record(self) -> dict[str, Any]:
        """Returns the arm as a row of a table: one dict of fields, metrics and config values.

        The keys are those of `ArmSummary.record`.
        """
        return _record(self, len(self.evals))


@dataclass(eq=False, repr=False)
class ArmSummary(ModelBase):
    """An arm without its eval rows, as listings of arms return it.

    An ArmSummary has no `eval()` and no `score()`: call those of the arm's handle or of its
    ArmResult.
    """

    name: str
    """The name of the arm."""
    run_config: RunConfig
    """The configuration of the arm's training."""
    status: str
    """The status of the arm's training: an ArmStatus."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Training metrics: the latest value of each key."""
    eval_metrics: dict[str, float] = field(default_factory=dict)
    """The metrics of the primary eval."""
    eval_count: int = 0
    """The number of eval rows."""
    run_id: str | None = None
    """The id of the training run in the system that ran it."""
    error: str | None = None
    """The reason why the arm failed."""
    train_seconds: float | None = None
    """The duration of training in seconds."""
    eval_seconds: float | None = None
    """The duration of evaluation in seconds."""
    group_id: str | None = None
    """The id of the group of arms that repeat one configuration."""
    group_name: str | None = None
    """The name of the group of arms that repeat one configuration."""
    experiment: str = ""
    """The experiment that the arm belongs to."""
    revision: int = 0
    """The experiment's revision in which the arm or one of its rows last changed."""
    create_time: datetime | None = None
    """The time at which the arm was first recorded."""
    update_time: datetime | None = None
    """The time at which the arm or one of its rows last changed."""
    attempt: Attempt | None = None
    """The newest attempt; None if none was started."""
    last_heard: datetime | None = None
    """The time at which the arm's newest event or heartbeat reached the server."""
    annotations: Annotations | None = None
    """The notes, tags and group given by `annotate`; None if nothing was given."""
    tags: list[str] = field(default_factory=list)
    """The tags of the run_config, with the changes by `annotate`."""

    def record(self) -> dict[str, Any]:
        """Returns the arm as a row of a table: a dict with a key for each metric and config value.

        `experiment.arms().to_pandas()` is a table of these rows.
        """
        return _record(self, self.eval_count)


def _record(arm: "ArmResult | ArmSummary", eval_count: int) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "status": arm.status,
        "group": arm.group_name,
        "tags": arm.tags,
        "evals": eval_count,
        **{f"eval.{key}": arm.eval_metrics[key] for key in sorted(arm.eval_metrics)},
        **{f"train.{key}": arm.metrics[key] for key in sorted(arm.metrics)},
        **{f"config.{path}": value for path, value in values_by_path(arm.run_config).items()},
        "train_seconds": arm.train_seconds,
        "error": arm.error,
        "notes": arm.annotations and arm.annotations.notes,
    }
