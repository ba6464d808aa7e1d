"""Removes the parts that look like secrets from a command line."""

import re
from collections.abc import Iterable

__all__ = ["redacted"]

_REDACTED = "[redacted]"
_WORD = (
    r"(?:token|passw(?:or)?d|passphrase|(?<![a-z])(?:pass|sig)|pwd|secret|credentials?|signature|"
    r"auth(?:orization)?|(?:api|access|private|secret|account|encryption)[-_]?key)"
)
_NAME = rf"(?<![\w.-])[\w.-]*{_WORD}"
"""A name that ends with a word for a secret.

A match begins only where the name begins. Otherwise the search in a long argument takes minutes.
"""
_OPTION = re.compile(rf"-[\w.-]*{_WORD}", re.IGNORECASE)
_ASSIGNED = re.compile(rf"(\+*{_NAME}=).+", re.IGNORECASE | re.DOTALL)
_IN_TEXT = re.compile(
    rf"({_NAME}[\"']?\s*[:=]\s*(?:(?:bearer|basic)\s+)?)"
    r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;}&]+)",
    re.IGNORECASE | re.DOTALL,
)
_IN_URL = re.compile(r"(\w://[^\s/@:]*:)[^\s/]+(?=@)")
_KNOWN = re.compile(
    r"\b(?:pdm_|sk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ)[\w.-]{12,}"
)
"""Matches tokens of services that training programs often use, by their prefix."""


def redacted(arguments: Iterable[str]) -> list[str]:
    """Returns the arguments of a command, with `[redacted]` in place of secrets.

    A secret is the value of an option, assignment or key such as `--token=…`, `--password …` or
    `wandb.api_key=…`. The password in a URL, and a string in the form of a service's token, are
    secrets, too.
    """
    shown = []
    is_secret = False
    for argument in arguments:
        if is_secret and not argument.startswith("--"):
            shown.append(_REDACTED)
            is_secret = False
            continue
        is_secret = _OPTION.fullmatch(argument) is not None
        shown.append(_without_secrets(argument))
    return shown


def _without_secrets(argument: str) -> str:
    assigned = _ASSIGNED.fullmatch(argument)
    if assigned is not None:
        return f"{assigned[1]}{_REDACTED}"
    text = _IN_TEXT.sub(rf"\1{_REDACTED}", argument)
    text = _IN_URL.sub(rf"\1{_REDACTED}", text)
    return _KNOWN.sub(_REDACTED, text)
