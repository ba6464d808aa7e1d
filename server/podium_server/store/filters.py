"""The filters of lists. They are plain data, which a store translates into its query language."""

from dataclasses import dataclass

from podium_server.store.series_changes import LAST_STEP

__all__ = ["ArmFilter", "ConfigCondition", "EvalFilter", "ExperimentFilter", "SeriesFilter"]


@dataclass(frozen=True, slots=True)
class ConfigCondition:
    """Selects arms by a value of their run_config. Values of another type do not match.

    Attributes:
        path: The path of the value, as a key of the JSON object in `ArmChange.parts["values"]`.
        value: The value, or the inclusive bounds of a number.
    """

    path: str
    value: bool | int | float | str | tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ArmFilter:
    """Selects arms. A field that is empty or None selects every arm.

    Attributes:
        statuses: The numbers of `podium.v1.ArmStatus`. An arm must have one of these statuses.
        group_name: The name of the group that an arm must belong to.
        name_prefix: The prefix that the name of an arm must have.
        tags: The tags that an arm must have. It needs all of them.
        config: The conditions on the arm's run_config. All of them must hold.
    """

    statuses: frozenset[int] = frozenset()
    group_name: str | None = None
    name_prefix: str = ""
    tags: frozenset[str] = frozenset()
    config: tuple[ConfigCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class EvalFilter:
    """Selects eval rows. A field that is None selects every row.

    With `min_step` or `max_step`, only in-loop rows are selected.

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
        keys: The keys of metrics. Without any, every key is selected.
        max_step: The greatest step.
    """

    keys: frozenset[str] = frozenset()
    max_step: int = LAST_STEP


@dataclass(frozen=True, slots=True)
class ExperimentFilter:
    """Selects experiments. An empty field selects every experiment.

    Attributes:
        statuses: Results of `podium.scoring.experiment_status`. An experiment must have one of
            them.
        name_prefix: The prefix that the name of an experiment must have.
        tags: The tags that an experiment must have. It needs all of them.
        within: Prefixes of names. The name of an experiment must equal one of them, or be below
            one: `team` includes `team` and `team/a`, but not `team2`. Pages do not
            reveal the names of other experiments, not even in `next`.
    """

    statuses: frozenset[str] = frozenset()
    name_prefix: str = ""
    tags: frozenset[str] = frozenset()
    within: tuple[str, ...] = ()
