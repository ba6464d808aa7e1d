"""The change feed of an experiment: what changed after a revision, in order of revision.

A consumer that knows the state of revision `a` asks for the changes after `a`, page by page, and
applies each item: a removal first removes, an arm or a row replaces the one of its identity. With
the page whose `next` is None it has exactly the state of `experiment.revision`. Commits between two
pages are part of that state: an item that changes again moves to the end of the feed. Before the
last page the consumer has no state of any one revision.

An item is listed once, with its newest state. Within a revision, removals come before arms, and
arms before rows. A row may come before its arm, whose revision is that of its newest change. The
feed does not follow `last_heard` and `digest` of an arm, which change without a revision.

Where `after` is 0, the feed is a snapshot and lists no removals from before it began. Where `after`
is less than `experiment.deletion`, the consumer knows an earlier experiment of this name: it
has to forget everything and ask for the changes after 0.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from podium_server.store.rows import ArmView, EvalKey, ExperimentRow

__all__ = ["Change", "ChangePage", "ChangePlace", "ChangedRow", "Removal"]


class Removal(NamedTuple):
    """An identity that was removed: a row, or (`key` None) an arm with all its rows."""

    arm: str
    key: EvalKey | None


class ChangedRow(NamedTuple):
    """A row that was recorded or replaced; `content` is the encoded EvalResult.

    `position` orders the rows of the arm, whose present status and group are there for filters.
    """

    arm: str
    key: EvalKey
    content: bytes
    position: int
    status: int
    group_name: str | None


Change: TypeAlias = Removal | ArmView | ChangedRow


class ChangePlace(NamedTuple):
    """Where the next page of a feed begins; only the store looks into it.

    Attributes:
        begun: The revision in which a snapshot began, or the one that the consumer knew.
        revision: The revision of the last item.
        kind: The kind of the last item.
        key: What orders items of that kind within the revision.
    """

    begun: int
    revision: int
    kind: int
    key: tuple[int | str, ...]


@dataclass(slots=True)
class ChangePage:
    """A page of a feed, the place to go on from (None: it is complete), and the experiment.

    `epoch` names the life of the experiment and the store: what a consumer knows of another epoch
    is of no use. A copy of a store has an epoch of its own.
    """

    experiment: ExperimentRow
    epoch: str
    items: list[Change] = field(default_factory=list)
    next: ChangePlace | None = None
