"""Converts annotations and provenance, and leaves out their invalid parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podium._model.results import Annotations, ArmResult, Provenance
from podium._recorder import kept_values as kept
from podium._values import coerce

if TYPE_CHECKING:
    from types import UnionType

    from podium._recorder.problems import Problems

__all__ = ["changes", "keep_with", "provenance"]


def changes(
    notes: Any, add_tags: Any, remove_tags: Any, group_name: Any, problems: Problems
) -> tuple[str | None, list[str], list[str], str | None]:
    """Returns the valid arguments of `annotate`.

    A tag that is both in `add_tags` and in `remove_tags` is added, not removed.
    """
    added = kept.tags(add_tags, "add_tags", problems)
    return (
        kept.text(notes, "notes", problems),
        added,
        _others(kept.tags(remove_tags, "remove_tags", problems), added, "remove_tags", problems),
        "" if group_name == "" else kept.optional_name(group_name, "group_name", problems),
    )


def _others(tags: list[str], added: list[str], where: str, problems: Problems) -> list[str]:
    both = [tag for tag in tags if tag in added]
    if both:
        problems.lost(where, f"{where} has {both[0]!r}, which is also among the tags to add")
    return [tag for tag in tags if tag not in both]


def keep_with(result: ArmResult, given: ArmResult, problems: Problems) -> ArmResult:
    """Copies the valid annotations and provenance of the arm `given` to the arm `result`.

    Returns `result`.
    """
    if given.annotations is not None:
        result.annotations = _annotations(given.annotations, "arm_result.annotations", problems)
    result.provenance = provenance(given.provenance, "arm_result.provenance", problems)
    return result


def _annotations(given: Annotations, where: str, problems: Problems) -> Annotations:
    added = kept.tags(given.added_tags, f"{where}.added_tags", problems)
    removed = kept.tags(given.removed_tags, f"{where}.removed_tags", problems)
    return Annotations(
        kept.text(given.notes, f"{where}.notes", problems) or None,
        added,
        _others(removed, added, f"{where}.removed_tags", problems),
        kept.optional_name(given.group_name, f"{where}.group_name", problems),
        no_group=given.group_name is None and given.no_group is True,
    )


def provenance(given: Any, where: str, problems: Problems) -> Provenance | None:
    """Returns a Provenance with the valid fields of `given`, or None if it is not a Provenance."""
    if given is None:
        return None
    if not isinstance(given, Provenance):
        problems.lost(where, f"{where} must be a Provenance, not {coerce.kind_of(given)}", given)
        return None

    def text(name: str) -> str | None:
        return kept.text(getattr(given, name), f"{where}.{name}", problems)

    def valid(name: str, kind: type | UnionType, what: str) -> Any:
        value = getattr(given, name)
        if value is None or isinstance(value, kind):
            return value
        at = f"{where}.{name}"
        problems.lost(at, f"{at} must be {what}, not {coerce.kind_of(value)}", value)
        return None

    is_clean = valid("git_clean", bool, "a bool")
    arguments = valid("command_line", list | tuple, "a list of strings") or []
    packages = valid("packages", Mapping, "a mapping") or {}
    return Provenance(
        text("git_commit"),
        is_clean,
        [_text(each, f"{where}.command_line", problems) for each in arguments],
        text("host"),
        text("python_version"),
        {
            kept.name_or("unnamed", key, f"a key of {where}.packages", problems): _text(
                version, f"{where}.packages", problems
            )
            for key, version in packages.items()
        },
    )


def _text(given: Any, where: str, problems: Problems) -> str:
    return kept.text(given, where, problems) or ""
