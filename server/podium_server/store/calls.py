"""The calls that change results, and the data that a store exchanges with them.

`Store.transact` runs a call in these steps: load `Call.needs`, `decide`, write `Changes`, `derive`.
See `podium_server.store.contract`.
"""

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from podium_server.store.rows import (
    ArmRow,
    EvalKey,
    EvalRow,
    ExperimentRow,
    RowScores,
    ScoreRow,
    StreamRow,
)

__all__ = [
    "ArmChange",
    "ArmNeeds",
    "Call",
    "Changes",
    "CurrentRows",
    "DerivedScores",
    "Loaded",
    "LoadedArm",
    "Needs",
    "StaleScores",
    "Subject",
]

T_co = TypeVar("T_co", covariant=True)


Subject: TypeAlias = "tuple[str, str | None]"
"""What a commit changes: an arm, by experiment and name, or an experiment if the name is None."""


@dataclass(slots=True)
class ArmNeeds:
    """The data of one arm that a call needs. The arm's own row is always loaded.

    Attributes:
        parts: The names of the parts to load.
        keys: The keys of eval rows to load with their content. Without `all_rows`, the row that
            `eval(name)` returns is loaded too, for each eval name in `keys`.
        all_rows: Whether to load every eval row. Rows that are not in `keys` lack their content.
        sizes: With `all_rows`, the sizes in bytes of the call's own rows, by key. The content of a
            stored row is loaded if it has one of these sizes, because only then can it be equal.
            So a call loads no more content than its request has.
        point_steps: The steps at which points of the training series are loaded.
    """

    parts: set[str] = field(default_factory=set)
    keys: set[EvalKey] = field(default_factory=set)
    all_rows: bool = False
    sizes: dict[EvalKey, set[int]] = field(default_factory=dict)
    point_steps: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Needs:
    """The data that a store loads for a call: the experiment's row, a stream, and some arms.

    `writer_id` names the stream, if the call has one. `content` asks for the experiment's content
    too. `arms` has the needed data of each arm, by the arm's name.
    """

    experiment: str
    writer_id: str | None = None
    content: bool = False
    arms: dict[str, ArmNeeds] = field(default_factory=dict)


@dataclass(slots=True)
class LoadedArm:
    """A loaded arm.

    Attributes:
        row: The row of the arm.
        parts: The requested parts by name. An empty part is b"".
        rows: The requested eval rows that exist, by key.
        answering: The row that `eval(name)` returns, or None, for the eval name of each requested
            key. Empty if all rows were requested.
        points: The values by key at each requested step.
        has_points: False if all rows were requested and the arm has no training series. Otherwise
            True.
    """

    row: ArmRow
    parts: dict[str, bytes]
    rows: dict[EvalKey, EvalRow]
    answering: dict[str, EvalRow | None] = field(default_factory=dict)
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    has_points: bool = True


@dataclass(slots=True)
class Loaded:
    """The rows that a store found for a call.

    `arms` has no entry for an arm that does not exist. The call may change the rows.
    """

    experiment: ExperimentRow | None
    stream: StreamRow | None
    arms: dict[str, LoadedArm]


@dataclass(slots=True)
class StaleScores:
    """The scores of an arm that must be derived again after its rows are written.

    Attributes:
        answering: The rows that `eval(name)` now returns, by eval name, as far as they are known.
            They have the new scores.
        names: Further evals with stale scores, for which the store looks up these rows.
        all_names: Whether the store looks up these rows for all evals of the arm.
        primary: Whether the primary eval may have changed. Then all bare scores are stale: the
            scores without an eval name.
        metrics: The training metrics that changed, by key.
    """

    answering: dict[str, EvalRow] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    all_names: bool = False
    primary: bool = False
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Returns whether any score must be derived again."""
        return self.primary or self.all_names or bool(self.answering or self.names or self.metrics)


@dataclass(slots=True)
class ArmChange:
    """The changes of one arm.

    Rows are removed before `rows` are written, and points before `points` are written.

    Attributes:
        row: The new row of the arm.
        was_completed: Whether the arm was COMPLETED before.
        added_rows: The change of the arm's number of stored rows. It leaves out the rows that
            `cut_after`, `clear_points` and `cut_points_after` remove, because the store counts
            these.
        parts: The parts to write, by name.
        rows: The eval rows to write.
        clear_rows: Whether to remove all eval rows and all scores.
        cut_after: A step: all post-training rows are removed, and the in-loop rows after the step.
        remove_keys: The keys of further eval rows to remove.
        clear_points: Whether to remove all points of the training series.
        cut_points_after: A step: the points after it are removed.
        points: The values to write, by step and key. Values of other keys at the step are kept.
        stale_scores: The scores that must be derived again.
    """

    row: ArmRow
    was_completed: bool = False
    added_rows: int = 0
    parts: dict[str, bytes] = field(default_factory=dict)
    rows: list[EvalRow] = field(default_factory=list)
    clear_rows: bool = False
    cut_after: int | None = None
    remove_keys: list[EvalKey] = field(default_factory=list)
    clear_points: bool = False
    cut_points_after: int | None = None
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    stale_scores: StaleScores = field(default_factory=StaleScores)


@dataclass(slots=True)
class Changes:
    """The changes of a call. `revision` is the new revision; None if readers see no change.

    The content of `experiment` is written if neither the content nor `revision` is None.

    `remove_arm` removes an arm with all its data, and closes the streams that write to it.
    `remove_experiment` does the same for every arm and stream of the experiment.
    """

    experiment: ExperimentRow | None = None
    revision: int | None = None
    stream: StreamRow | None = None
    arms: list[ArmChange] = field(default_factory=list)
    remove_arm: ArmRow | None = None
    remove_experiment: bool = False

    def subjects(self) -> set[Subject]:
        """Returns the changed arms, or the whole experiment if it was removed or no arm changed.

        Arms whose changes have no revision are included.
        """
        if self.experiment is None:
            return set()
        experiment = self.experiment.name
        arms: set[Subject] = {(experiment, change.row.name) for change in self.arms}
        if self.remove_arm is not None:
            arms.add((experiment, self.remove_arm.name))
        if self.remove_experiment or (self.revision is not None and not arms):
            return {(experiment, None)}
        return arms


@dataclass(slots=True)
class CurrentRows:
    """The rows from which an arm's stale scores are derived.

    The store reads these rows after it has written the arm's changes.

    Attributes:
        answering: The row that `eval(name)` returns, for each eval name that the store looks up
            (see `StaleScores`): the post-training row, else the row with the greatest step, else
            None.
        first: The primary eval, if it may have changed: the row with the lowest primary class, and
            among these the lowest position.
        parts: The arm's parts `metrics` and `given`, if the primary eval may have changed.
        eval_count: The number of the arm's eval rows if the changes have `cut_after`; otherwise 0.
    """

    answering: dict[str, EvalRow | None] = field(default_factory=dict)
    first: EvalRow | None = None
    parts: dict[str, bytes] = field(default_factory=dict)
    eval_count: int = 0


@dataclass(slots=True)
class DerivedScores:
    """The scores that follow from the current rows of an arm.

    Attributes:
        scores: All scores of an eval, or None if it has none, by the name of the eval. They replace
            the stored scores of the eval.
        bare: All bare scores (scores without an eval name), by key. They replace the stored bare
            scores. None if the bare scores are not stale.
        training: Bare scores of training metrics, by key. Such a score is not written if its key
            already has a score of another origin.
    """

    scores: dict[str, RowScores | None] = field(default_factory=dict)
    bare: dict[str, ScoreRow] | None = None
    training: dict[str, ScoreRow] = field(default_factory=dict)


class Call(Protocol[T_co]):
    """A call that changes results. It decides without I/O."""

    @property
    def needs(self) -> Needs:
        """Returns the data to load before `decide`."""

    @property
    def heavy(self) -> bool:
        """Returns whether the call may take more than a few milliseconds to apply."""

    def decide(self, loaded: Loaded) -> Changes:
        """Returns the changes of the call, or raises a `podium.PodiumError`."""

    def derive(self, change: ArmChange, current_rows: CurrentRows, /) -> DerivedScores:
        """Sets the primary eval in `change.row`, and returns the scores of the current rows."""

    def result(self, changes: Changes) -> T_co:
        """Returns the result of the call. The caller gets it when the changes are durable."""
