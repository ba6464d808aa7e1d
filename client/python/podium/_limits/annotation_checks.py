"""Checks annotations of arms, and the provenance of attempts, field by field."""

from collections.abc import Iterable

from podium._limits.checks import (
    check_count,
    check_keys,
    check_name,
    check_optional_names,
    check_set,
    check_text,
    check_texts,
)
from podium._limits.limits import Limits
from podium.errors import error_for
from podium.v1.arm_result_pb2 import Annotations, Provenance
from podium.v1.event_pb2 import ArmAnnotated

__all__ = ["check_annotated", "check_annotations", "check_provenance"]


def check_annotated(event: ArmAnnotated, limits: Limits) -> None:
    """Checks the event that changes annotations of an arm."""
    check_name(event.arm, "arm_annotated.arm", limits)
    _check_notes(event, "arm_annotated", limits)
    check_optional_names(event, "arm_annotated", ("group_name",), limits)
    for field in ("clear_notes", "clear_group"):
        if event.HasField(field):
            check_set(is_set=getattr(event, field), field=f"arm_annotated.{field}")
    check_keys(event.add_tags, "arm_annotated.add_tags", limits)
    check_keys(event.remove_tags, "arm_annotated.remove_tags", limits)
    _check_distinct(event.add_tags, event.remove_tags, "arm_annotated.remove_tags", "add_tags")


def check_annotations(noted: Annotations, path: str, limits: Limits) -> None:
    """Checks the annotations of an arm that is recorded with all its results."""
    _check_notes(noted, path, limits)
    check_optional_names(noted, path, ("group_name",), limits)
    if noted.HasField("no_group"):
        check_set(is_set=noted.no_group, field=f"{path}.no_group")
    check_keys(noted.added_tags, f"{path}.added_tags", limits)
    check_keys(noted.removed_tags, f"{path}.removed_tags", limits)
    _check_distinct(noted.added_tags, noted.removed_tags, f"{path}.removed_tags", "added_tags")


def _check_notes(noted: ArmAnnotated | Annotations, path: str, limits: Limits) -> None:
    if noted.HasField("notes"):
        check_set(is_set=bool(noted.notes), field=f"{path}.notes")
        check_text(noted.notes, f"{path}.notes", limits)


def _check_distinct(added: Iterable[str], removed: Iterable[str], field: str, other: str) -> None:
    both = set(added).intersection(removed)
    if both:
        raise error_for(
            "FIELD_OUT_OF_RANGE",
            f"{field} has {min(both)!r}, which is also in {other}; leave out one of the two",
            {"field": field},
        )


def check_provenance(given: Provenance, path: str, limits: Limits) -> None:
    """Checks the provenance of an attempt."""
    check_texts(given, path, limits)
    check_count(len(given.command_line), f"{path}.command_line", limits.map_keys, "arguments")
    for index, argument in enumerate(given.command_line):
        check_text(argument, f"{path}.command_line[{index}]", limits)
    check_keys(given.packages, f"{path}.packages", limits)
    for key, version in given.packages.items():
        check_text(version, f"{path}.packages[{key!r}]", limits)
