"""A decorator that runs many quick cases as one test."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeAlias

__all__ = ["each"]

_Test: TypeAlias = Callable[..., None]


def each(names: str | Sequence[str], cases: Iterable[Any]) -> Callable[[_Test], _Test]:
    """Runs a test for each case, like `pytest.mark.parametrize`, but as one test.

    The error of a failed case names the case, and the cases after it do not run. All cases share
    the fixtures of the test, so use the decorator for tests without fixtures.
    """
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    values = [case if len(keys) > 1 else (case,) for case in cases]

    def decorate(test: _Test) -> _Test:
        @wraps(test)
        def run(**given: Any) -> None:
            for case in values:
                arguments = dict(zip(keys, case, strict=True))
                try:
                    test(**given, **arguments)
                except BaseException as error:
                    error.add_note(f"in the case {arguments}")
                    raise

        found = inspect.signature(test)
        others = [found.parameters[name] for name in found.parameters.keys() - {*keys}]
        run.__signature__ = found.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate
