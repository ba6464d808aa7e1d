"""The enums of Podium. Each member equals its plain text (`arm.status == "completed"`)."""

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

    CONFIGS_DIFFER: the arms of a group differ in more than name and seed. The other flags are about
    the rows that a number comes from. Their benchmark_ids or model_refs differ, or they were
    measured at different steps, such as in-loop and post-training rows.
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
    """The status of an experiment, from those of its arms.

    COMPLETED if any arm completed, FAILED if there are arms and all failed, else RUNNING.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class RankFlag(StrEnum):
    """A reason why a place in a ranking may be misleading.

    NAN: a score is not a number. BENCHMARKS_DIFFER: rows of the eval that a score came from have
    different benchmark_ids among the arms of the ranking. CONFIGS_DIFFER: the arms of a group
    differ in more than name and seed.
    """

    NAN = "nan"
    BENCHMARKS_DIFFER = "benchmarks_differ"
    CONFIGS_DIFFER = "configs_differ"


class Role(StrEnum):
    """The calls that a token allows. Each role also allows the calls of those before it.

    READER: every call that reads results. RECORDER: recording. ADMIN: deleting results, and
    managing tokens.
    """

    READER = "reader"
    RECORDER = "recorder"
    ADMIN = "admin"


class ScoreOrigin(StrEnum):
    """The kind of result that a score is part of.

    GIVEN_EVAL_METRICS are eval metrics that were set on the arm and do not come from a row.
    """

    POST_TRAINING_EVAL = "post_training_eval"
    IN_LOOP_EVAL = "in_loop_eval"
    TRAINING_METRICS = "training_metrics"
    GIVEN_EVAL_METRICS = "given_eval_metrics"
