"""A second, naive implementation of annotations, which `naive` uses."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from podium.v1.arm_result_pb2 import Annotations
from podium.v1.event_pb2 import ArmAnnotated

__all__ = ["Notes", "notes_of"]


@dataclass
class Notes:
    """The annotations of an arm.

    `tags` has True for each added tag, and False for each removed one. `group` is None if the
    group was not annotated. Otherwise it is a tuple of the group's name, or of None for no group.
    """

    text: str | None = None
    tags: dict[str, bool] = field(default_factory=dict)
    group: tuple[str | None] | None = None

    def change(self, body: ArmAnnotated) -> None:
        """Applies an event."""
        if body.WhichOneof("notes_change"):
            self.text = body.notes or None
        said = dict.fromkeys(body.add_tags, True) | dict.fromkeys(body.remove_tags, False)
        for tag, is_added in said.items():
            if self.tags.get(tag) is not is_added:
                self.tags.pop(tag, None)
                self.tags[tag] = is_added
        if body.WhichOneof("group_change"):
            self.group = (body.group_name or None,)

    def put_in_group(self, facts: dict[str, Any]) -> None:
        """Replaces the recorded group by the annotated one, if there is one."""
        if self.group is None:
            return
        for name in ("group_id", "group_name"):
            facts.pop(name, None)
        if self.group[0] is not None:
            facts["group_name"] = self.group[0]

    def applied_to(self, tags: Iterable[str]) -> list[str]:
        """Returns a configuration's tags without the removed ones, followed by the added ones."""
        own = [tag for tag in tags if self.tags.get(tag, True)]
        return own + [tag for tag, added in self.tags.items() if added and tag not in own]


def notes_of(said: Annotations) -> Notes:
    """Returns the annotations of a whole arm."""
    tags = dict.fromkeys(said.added_tags, True) | dict.fromkeys(said.removed_tags, False)
    group = (said.group_name or None,) if said.WhichOneof("group") else None
    return Notes(said.notes if said.HasField("notes") else None, tags, group)
