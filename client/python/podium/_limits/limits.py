"""The limits of a server, with their defaults."""

from dataclasses import dataclass, replace

from podium._values.names import MOST_NAME_BYTES

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server for requests and stored results. Each field is a maximum."""

    name_bytes: int = 256
    """The most bytes of a name, key, tag or id."""
    map_keys: int = 1_000
    """The most keys of a map, and the most items of a list of tags."""
    value_depth: int = 8
    """The most levels of nesting of a Value."""
    value_nodes: int = 10_000
    """The most Values of one field, nested ones included."""
    call_events: int = 1_000
    """The most events of a Record call."""
    call_metrics: int = 10_000
    """The most metric values of a Record call."""
    message_bytes: int = 4 * 1024 * 1024
    """The most bytes of a request."""
    row_bytes: int = 960 * 1024
    """The most bytes of an eval row."""
    arm_bytes: int = 960 * 1024
    """The most bytes of an arm without its eval rows, and of an experiment without its arms."""
    text_bytes: int = 64 * 1024
    """The most bytes of a string that is neither a name nor the error of an arm."""
    error_bytes: int = 64 * 1024
    """The most bytes of the error of an arm. Longer errors are shortened in the middle."""
    page_rows: int = 1_000
    """The most items of a page of a list. For scores and points, `page_scores` is the limit."""
    page_scores: int = 10_000
    """The most scores of a page of a score matrix, and the most points of a page of series."""
    page_bytes: int = 2 * 1024 * 1024
    """The most bytes of a page."""

    def for_lookups(self) -> "Limits":
        """Returns the limits for reads and deletions, which accept any name that was ever valid.

        The limit of names may have been greater when a name was stored.
        """
        return replace(
            self,
            name_bytes=MOST_NAME_BYTES,
            text_bytes=max(self.text_bytes, MOST_NAME_BYTES),
        )


DEFAULT_LIMITS = Limits()
"""The limits of a server that is started without `--limit`."""
