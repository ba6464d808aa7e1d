"""The filters of lists: plain data, which a store translates into its query language."""

from dataclasses import dataclass

__all__ = ["ArmFilter", "ConfigCondition", "EvalFilter", "ExperimentFilter", "SeriesFilter"]

_LAST_STEP = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ConfigCondition:
    """Selects arms by a value of their configuration, which has the type that is asked for.

    Attributes:
        path: The path of the value, as `ArmChange.parts["values"]` has it.
        value: The value, or the bounds of a number, both included.
    """

    path: str
    value: bool | int | float | str | tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ArmFilter:
    """Selects arms; what is left empty or None selects every arm.

    Attributes:
        statuses: The numbers of `podium.v1.ArmStatus`, of which an arm must have one.
        group_name: The group that an arm must belong to.
        name_prefix: How the name of an arm must begin.
        tags: The tags that an arm must have, all of them.
        config: The conditions that the arm's configuration must pass, all of them.
    """

    statuses: frozenset[int] = frozenset()
    group_name: str | None = None
    name_prefix: str = ""
    tags: frozenset[str] = frozenset()
    config: tuple[ConfigCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class EvalFilter:
    """Selects eval rows; a bound of the step selects in-loop rows only.

    Attributes:
        name: The name of the eval.
        min_step: The smallest step.
        max_step: The greatest step.
    """

    name: str | None = None
    min_step: int | None = None
    max_step: int | None = None


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """Selects points of a training series.

    Attributes:
        keys: The keys of metrics; empty selects every key.
        max_step: The greatest step.
    """

    keys: frozenset[str] = frozenset()
    max_step: int = _LAST_STEP


@dataclass(frozen=True, slots=True)
class ExperimentFilter:
    """Selects experiments; what is left empty selects every experiment.

    Attributes:
        statuses: Results of `podium.scoring.experiment_status`, of which an experiment must have
            one.
        name_prefix: How the name of an experiment must begin.
        tags: The tags that an experiment must have, all of them.
        within: Names of whole segments: an experiment must have one of them, or be below one. Pages
            are as if no other experiment existed.
    """

    statuses: frozenset[str] = frozenset()
    name_prefix: str = ""
    tags: frozenset[str] = frozenset()
    within: tuple[str, ...] = ()
