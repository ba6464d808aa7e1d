"""Cases of which `make test` runs some, and `make test-slow` the others."""

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["sparse"]


def sparse(cases: Iterable[Any], every: int = 1_000) -> list[Any]:
    """Returns cases for `parametrize`, where only the first of each so many is quick.

    Use it for cases that repeat one path, so that a defect fails the quick ones, too. A case of
    several arguments is a tuple.
    """
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[pytest.mark.slow] if index % every else [],
        )
        for index, case in enumerate(cases)
    ]
