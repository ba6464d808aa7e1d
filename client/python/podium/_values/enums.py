"""The enums of Podium. Each member equals a plain string (`arm.status == "completed"`)."""

from enum import StrEnum

__all__ = [
    "ArmStatus",
    "ComparisonFlag",
    "Direction",
    "ExperimentStatus",
    "RankFlag",
    "Role",
    "ScoreOrigin",
]


class ArmStatus(StrEnum):
    """The status of an arm's training."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ComparisonFlag(StrEnum):
    """A reason why a comparison may be misleading.

    CONFIGS_DIFFER: the configurations of a group's arms differ in more than name and seed. The
    other flags are about the eval rows from which a compared number comes. BENCHMARKS_DIFFER: their
    benchmark_ids differ. MODELS_DIFFER: their model_refs differ. STEPS_DIFFER: they were measured
    at different steps, or some in-loop and some after training.
    """

    CONFIGS_DIFFER = "configs_differ"
    BENCHMARKS_DIFFER = "benchmarks_differ"
    MODELS_DIFFER = "models_differ"
    STEPS_DIFFER = "steps_differ"


class Direction(StrEnum):
    """Whether greater or smaller scores are better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class ExperimentStatus(StrEnum):
    """The status of an experiment, which follows from its arms.

    COMPLETED if any arm completed, FAILED if there are arms and all failed, else RUNNING.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class RankFlag(StrEnum):
    """A reason why a place in a ranking may be misleading.

    NAN: a score is NaN. BENCHMARKS_DIFFER: the score comes from an eval whose rows in this ranking
    have different benchmark_ids. CONFIGS_DIFFER: the configurations of a group's arms differ in
    more than name and seed.
    """

    NAN = "nan"
    BENCHMARKS_DIFFER = "benchmarks_differ"
    CONFIGS_DIFFER = "configs_differ"


class Role(StrEnum):
    """The calls that a token allows. Each role also allows the calls of the roles before it.

    READER: every call that reads results. RECORDER: recording. ADMIN: deleting results, and
    managing tokens.
    """

    READER = "reader"
    RECORDER = "recorder"
    ADMIN = "admin"


class ScoreOrigin(StrEnum):
    """The kind of result from which a score comes.

    GIVEN_EVAL_METRICS: the `eval_metrics` of an arm that was recorded without rows.
    """

    POST_TRAINING_EVAL = "post_training_eval"
    IN_LOOP_EVAL = "in_loop_eval"
    TRAINING_METRICS = "training_metrics"
    GIVEN_EVAL_METRICS = "given_eval_metrics"
