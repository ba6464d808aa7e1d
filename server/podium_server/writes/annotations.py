"""Applies ArmAnnotated, which changes notes, tags and the group of an arm.

Annotations are stored in the part `facts` of the arm. They take precedence over values that a
training run or an import records earlier or later.
"""

from collections.abc import Iterable

from podium._limits.checks import check_count
from podium._limits.limits import Limits
from podium.v1.arm_result_pb2 import Annotations, ArmResult
from podium.v1.event_pb2 import ArmAnnotated
from podium.v1.run_config_pb2 import RunConfig

from podium_server.writes.encoding import encode
from podium_server.writes.state import ArmState

__all__ = ["annotate", "apply_to_facts", "set_labels"]


def annotate(arm: ArmState, event: ArmAnnotated, limits: Limits) -> None:
    """Applies an event, or raises an error and changes nothing."""
    facts = ArmResult.FromString(arm.part("facts"))
    notes = facts.annotations
    _set_notes(notes, event)
    _set_tags(notes, event, limits)
    _set_group(notes, event)
    apply_to_facts(facts)
    content = encode(facts)
    size = arm.row.part_bytes + len(content) - len(arm.part("facts"))
    name = f"arm {arm.row.name!r} without its rows"
    check_count(size, "arm_annotated", limits.arm_bytes, "bytes", name=name)
    if arm.set_part("facts", content):
        set_labels(arm)


def apply_to_facts(facts: ArmResult) -> None:
    """Sets or removes the group of an arm if its annotations do so.

    Removes the field `annotations` if it is empty.
    """
    if not facts.annotations.ByteSize():
        facts.ClearField("annotations")
    annotated = facts.annotations.WhichOneof("group")
    if annotated is None:
        return
    facts.ClearField("group_id")
    facts.ClearField("group_name")
    if annotated == "group_name":
        facts.group_name = facts.annotations.group_name


def set_labels(arm: ArmState) -> None:
    """Sets the group and the tags that filters of lists use, from the arm's parts."""
    facts = ArmResult.FromString(arm.part("facts"))
    arm.set_group(facts.group_name if facts.HasField("group_name") else None)
    recorded = RunConfig.FromString(arm.part("config")).tags
    arm.row.tags = tuple(_changed(recorded, facts.annotations))


def _changed(tags: Iterable[str], notes: Annotations) -> list[str]:
    """Returns the tags of a run_config, changed by the annotations."""
    kept = [tag for tag in tags if tag not in notes.removed_tags]
    return kept + [tag for tag in notes.added_tags if tag not in kept]


def _set_notes(notes: Annotations, event: ArmAnnotated) -> None:
    if event.HasField("notes"):
        notes.notes = event.notes
    elif event.clear_notes:
        notes.ClearField("notes")


def _set_tags(notes: Annotations, event: ArmAnnotated, limits: Limits) -> None:
    added = _without(notes.added_tags, event.remove_tags, event.add_tags)
    removed = _without(notes.removed_tags, event.add_tags, event.remove_tags)
    for field, tags in (("add_tags", added), ("remove_tags", removed)):
        check_count(len(tags), f"arm_annotated.{field}", limits.map_keys, "keys")
    notes.added_tags[:] = added
    notes.removed_tags[:] = removed


def _without(tags: Iterable[str], dropped: Iterable[str], new: Iterable[str]) -> list[str]:
    kept = dict.fromkeys(tags)
    for tag in dropped:
        kept.pop(tag, None)
    return list(kept | dict.fromkeys(new))


def _set_group(notes: Annotations, event: ArmAnnotated) -> None:
    if event.HasField("group_name"):
        notes.group_name = event.group_name
    elif event.clear_group:
        notes.no_group = True
