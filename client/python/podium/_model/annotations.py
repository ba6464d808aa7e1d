"""Data about an arm that are not results: annotations, and the provenance of an attempt."""

from dataclasses import dataclass, field

from podium._values import coerce
from podium._values.base import ModelBase

__all__ = ["Annotations", "Provenance"]


@dataclass(eq=False, repr=False)
class Annotations(ModelBase):
    """The notes, tags and group that `annotate` gave to an arm.

    Annotations take precedence over the tags and the group that the training process recorded.
    Later attempts of the arm keep the annotations.
    """

    notes: str | None = None
    """Notes about the arm."""
    added_tags: list[str] = field(default_factory=list)
    """Tags that were added, in the order in which they were added."""
    removed_tags: list[str] = field(default_factory=list)
    """Tags that were removed."""
    group_name: str | None = None
    """The group that the arm was moved to; None if it was not moved."""
    no_group: bool = False
    """Whether the arm was removed from its group."""

    def __post_init__(self) -> None:
        self._coerce_optional(coerce.text, "notes", "group_name")
        self._coerce(coerce.texts, "added_tags", "removed_tags")
        self._coerce(coerce.boolean, "no_group")
        if self.no_group and self.group_name is not None:
            raise ValueError("give group_name or no_group, not both")


@dataclass(eq=False, repr=False)
class Provenance(ModelBase):
    """Where the code of an attempt came from, and where it ran.

    Rankings and comparisons ignore the provenance. A field that is not known is None or empty.
    """

    git_commit: str | None = None
    """The commit that was checked out in the git work tree of the program."""
    git_clean: bool | None = None
    """Whether the tracked files of this work tree had no uncommitted changes."""
    command_line: list[str] = field(default_factory=list)
    """The program and its arguments, without the values that look like secrets."""
    host: str | None = None
    """The name of the machine."""
    python_version: str | None = None
    """The version of the Python interpreter."""
    packages: dict[str, str] = field(default_factory=dict)
    """The versions of packages by name."""

    def __post_init__(self) -> None:
        self._coerce_optional(coerce.text, "git_commit", "host", "python_version")
        self._coerce_optional(coerce.boolean, "git_clean")
        self._coerce(coerce.texts, "command_line")
        self._coerce(coerce.text_map, "packages")
