"""Adds the options for pictures to commands, and writes the pictures."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from podium.cli._console import Console
from podium.cli._exits import CommandError
from podium.plots._figure import check_suffix

__all__ = ["add_picture", "draw"]

_T = TypeVar("_T")


def add_picture(parser: argparse.ArgumentParser, option: str, what: str) -> None:
    """Adds the options for the file and the title of a picture.

    `what` begins the help of the first option, such as "also draw the ranking".
    """
    help_text = f"{what} into FILE: a .png, .svg or .pdf"
    parser.add_argument(option, dest="picture", type=_picture_file, metavar="FILE", help=help_text)
    parser.add_argument(
        "--title", metavar="TEXT", help="the title of the picture; an empty text omits it"
    )


def _picture_file(path: str) -> str:
    try:
        check_suffix(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


def draw(
    save: Callable[..., None], found: _T, arguments: argparse.Namespace, console: Console
) -> None:
    """Writes the picture of a result to the file that the user chose, and prints a note.

    `save` is a function of `podium.plots`, such as `save_ranking`.

    Raises:
        CommandError: The picture cannot be drawn or written.
    """
    path: str = arguments.picture
    try:
        save(found, path, title=arguments.title)
    except (ValueError, ImportError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    console.note(f"{path} is written")
