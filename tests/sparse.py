"""Cases of which `make test` runs some, and `make test-slow` the others."""

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["sparse"]


def sparse(cases: Iterable[Any], every: int = 1_000) -> list[Any]:
    """Returns cases for `parametrize`, and marks all but the first of each `every` cases as slow.

    Use it for cases that run the same code. A defect in this code then also fails a case that is
    not slow. A case of several arguments is a tuple.
    """
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[pytest.mark.slow] if index % every else [],
        )
        for index, case in enumerate(cases)
    ]
