"""The change feed of an experiment: what changed after a revision, in order of revision.

A consumer that has the state of revision `a` reads the changes after `a`, page by page, and applies
each item. A `Removal` removes an arm or a row. An `ArmView` or a `ChangedRow` replaces the arm or
row with the same identity. After the page whose `next` is None, the consumer has exactly the state
of `experiment.revision`. Commits between two pages are included, because an item that changes again
moves to the end of the feed. Until the last page is applied, the consumer's state is a mixture of
several revisions.

Each item is listed once, in its newest state. Within a revision, removals come before arms, and
arms before rows. If the consumer asks for points of training series, the points follow their arm. A
row may come before its arm, if the arm changed again later. If only `last_heard` or `digest` of an
arm changes, there is no new revision, and the feed does not show the change.

If `after` is 0, the feed is a snapshot. A snapshot lists no removals that happened before its first
page was read. If `after` is less than `experiment.deletion`, the consumer has the state of an
earlier experiment of this name. It must then discard its state and ask for the changes after 0.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from podium_server.store.rows import ArmView, EvalKey, ExperimentRow, Points

__all__ = ["Change", "ChangePage", "ChangePlace", "ChangedPoints", "ChangedRow", "Removal"]


class Removal(NamedTuple):
    """The removal of a row, or of an arm with all its rows if `key` is None."""

    arm: str
    key: EvalKey | None


class ChangedRow(NamedTuple):
    """A row that was recorded or replaced; `content` is the encoded EvalResult.

    `position` orders the rows of the arm. The current status and group of the arm are included for
    filters.
    """

    arm: str
    key: EvalKey
    content: bytes
    position: int
    status: int
    group_name: str | None


class ChangedPoints(NamedTuple):
    """A piece of the training series of an arm.

    The piece replaces all points of the arm from `first` on. `last` is the last step of the piece.
    Pieces can repeat points that the consumer has.
    """

    arm: str
    first: int
    last: int
    points: list[Points]
    status: int
    group_name: str | None


Change: TypeAlias = Removal | ArmView | ChangedRow | ChangedPoints


class ChangePlace(NamedTuple):
    """The place where the next page of a feed begins. Only the store reads its fields.

    Attributes:
        begun: The revision at which a snapshot began, or the revision that the consumer had.
        revision: The revision of the last item.
        kind: The kind of the last item.
        key: The sort key of the last item, among items of its kind in the revision.
    """

    begun: int
    revision: int
    kind: int
    key: tuple[int | str, ...]


@dataclass(slots=True)
class ChangePage:
    """A page of a feed, the place of the next page (None after the last), and the experiment.

    `epoch` identifies the experiment and the store. A copy of a store has its own epoch. A consumer
    whose state has another epoch must discard it.
    """

    experiment: ExperimentRow
    epoch: str
    items: list[Change] = field(default_factory=list)
    next: ChangePlace | None = None
