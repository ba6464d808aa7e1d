"""Derives environment variables from the options of `podium serve`, and reads them."""

import argparse
import os

from podium_server.serve.settings import Settings

__all__ = ["Repeated", "default_store", "read_variables", "variable_of"]

_OLDER = {"listen": "PODIUM_LISTEN", "store": "PODIUM_STORE"}
"""The variables whose names lack PODIUM_SERVE_, by option. Other commands read them too."""
_NO = {"", "0", "false", "no"}


class Repeated(argparse.Action):
    """Collects the values of an option that can be repeated.

    Values in the arguments replace the values of the environment variable.
    """

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: object,
        _option: str | None = None,
    ) -> None:
        """Adds a value. The first one replaces the values of the environment variable."""
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [value] if given is self.default else [*given, value])


def default_store() -> str:
    """Returns the URL of the store of commands without --store: $PODIUM_STORE or the default."""
    return os.environ.get("PODIUM_STORE", "").strip() or Settings().store


def variable_of(action: argparse.Action) -> str:
    """Returns the name of the variable of an option: PODIUM_SERVE_TLS_CERT for --tls-cert."""
    return _OLDER.get(action.dest, f"PODIUM_SERVE_{action.dest.upper()}")


def read_variables(parser: argparse.ArgumentParser) -> None:
    """Makes the values of environment variables the defaults of their options.

    For an option that can be repeated, the values are separated by commas. A malformed value ends
    the process with a message that names the variable.
    """
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        variable = variable_of(action)
        text = os.environ.get(variable)
        if text is None or action.dest == "help":
            continue
        try:
            action.default = _value(action, text.strip())
        except (ValueError, argparse.ArgumentTypeError) as error:
            parser.error(f"{variable}: {error}")


def _value(action: argparse.Action, text: str) -> object:
    if action.const is True:
        return text.lower() not in _NO
    if isinstance(action.default, list):
        parts = [_item(action, part.strip()) for part in text.split(",") if part.strip()]
        return parts or action.default
    return _item(action, text) if text else action.default


def _item(action: argparse.Action, text: str) -> object:
    if action.choices is not None and text not in action.choices:
        raise ValueError(f"give one of {', '.join(action.choices)}, not {text!r}")
    return action.type(text) if callable(action.type) else text
