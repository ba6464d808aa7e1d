"""Output files that appear only when they are complete."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podium.cli._exits import CommandError, Exit
from podium.errors import PodiumError

__all__ = ["new_file"]


@contextmanager
def new_file(path: str) -> Iterator[Path]:
    """Yields the path of a temporary file. Renames the file to `path` if the block succeeds.

    Otherwise deletes the temporary file.

    Raises:
        CommandError: The file cannot be written.
    """
    part: Path | None = None
    try:
        # Only the owner can read this file. Others cannot put a link in its place, because they
        # cannot predict its name.
        number, name = tempfile.mkstemp(dir=Path(path).parent, prefix=".podium-output-")
        os.close(number)
        part = Path(name)
        yield part
        part.replace(path)
    except PodiumError:
        raise  # some are OSErrors as well
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", Exit.FAILED) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
