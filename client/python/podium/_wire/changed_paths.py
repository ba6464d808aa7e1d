"""The paths of changed fields of a run_config, in the metadata and the message of an error."""

from collections.abc import Mapping

from podium._values.shorten_names import shorten_names
from podium._values.shorten_text import shorten, utf8_size

__all__ = ["PATHS_KEY", "add_paths", "complete_text", "paths_metadata", "shorten_paths"]

PATHS_KEY = "paths"
"""The key of the error's metadata whose value is the paths, separated by commas."""

_COUNT_KEY = "path_count"
_MOST_PATHS = 100
_LABEL = ". Changed: "
_SHORTEST = 8


def paths_metadata(paths: list[str]) -> dict[str, str]:
    """Returns the metadata of an error about changed paths."""
    return {_COUNT_KEY: str(len(paths)), PATHS_KEY: ",".join(paths[:_MOST_PATHS])}


def add_paths(text: str, metadata: Mapping[str, str]) -> str:
    """Adds the paths in the metadata to an error message, and how many more paths there are."""
    paths = metadata[PATHS_KEY].split(",")
    more = int(metadata[_COUNT_KEY]) - _MOST_PATHS
    # The end of a long message is cut, so the paths come last.
    return f"{text}{_LABEL}{', '.join(paths)}" + (f" and {more} more" if more > 0 else "")


def complete_text(text: str, metadata: Mapping[str, str]) -> str:
    """Returns the complete message of an error.

    If the paths at the end of the message were cut off, replaces them by those of the metadata.
    """
    start, label, _ = text.partition(_LABEL)
    is_cut = text.endswith("…") and label and metadata.get(_COUNT_KEY, "").isdecimal()
    return add_paths(start, metadata) if is_cut and PATHS_KEY in metadata else text


def shorten_paths(paths: str, room: int) -> str:
    """Shortens paths, separated by commas, to `room` bytes.

    First shortens each path in its middle. If that is not enough, leaves the last paths out.
    """
    names = paths.split(",")
    length = max(room // len(names), _SHORTEST)
    while utf8_size(paths) > room and length >= _SHORTEST:
        paths = ",".join(shorten_names(names, length))
        length //= 2
    return shorten(paths, max(room, 0))
