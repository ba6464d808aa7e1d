"""The closed sets of words; each word equals its plain text (`arm.status == "completed"`)."""

from enum import StrEnum

__all__ = [
    "ArmStatus",
    "ComparisonFlag",
    "Direction",
    "ExperimentStatus",
    "RankFlag",
    "ScoreOrigin",
]


class ArmStatus(StrEnum):
    """How far an arm's training has come."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ComparisonFlag(StrEnum):
    """Why a comparison should not be trusted without a second look.

    CONFIGS_DIFFER: the arms of a group differ in more than name and seed. The others say it of the
    rows that a number comes from: they have different benchmark_ids or model_refs, or were measured
    at different steps, as in-loop and post-training rows are.
    """

    CONFIGS_DIFFER = "configs_differ"
    BENCHMARKS_DIFFER = "benchmarks_differ"
    MODELS_DIFFER = "models_differ"
    STEPS_DIFFER = "steps_differ"


class Direction(StrEnum):
    """Which scores are better: the greater or the smaller ones."""

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
    """Why a place in a ranking should not be trusted without a second look.

    NAN: a score is not a number. BENCHMARKS_DIFFER: rows of the eval that a score came from have
    different benchmark_ids among the arms of the ranking. CONFIGS_DIFFER: the arms of a group
    differ in more than name and seed.
    """

    NAN = "nan"
    BENCHMARKS_DIFFER = "benchmarks_differ"
    CONFIGS_DIFFER = "configs_differ"


class ScoreOrigin(StrEnum):
    """What kind of result a score is part of.

    GIVEN_EVAL_METRICS are eval metrics that an arm was given, and not those of a row.
    """

    POST_TRAINING_EVAL = "post_training_eval"
    IN_LOOP_EVAL = "in_loop_eval"
    TRAINING_METRICS = "training_metrics"
    GIVEN_EVAL_METRICS = "given_eval_metrics"
