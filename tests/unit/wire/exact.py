"""An exact comparison of results, which also compares types and the bits of floats."""

import math
import struct
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["exact"]


def exact(given: Any, *, one_nan: bool = False) -> Any:
    """Returns a form of a value that is equal only for the same value, types and bits.

    With `one_nan`, all NaNs are equal, as in JSON, which does not keep the bits of a NaN.
    """
    if isinstance(given, float):
        return ("float", "nan" if one_nan and math.isnan(given) else struct.pack("<d", given))
    if isinstance(given, dict):
        return ("dict", {key: exact(item, one_nan=one_nan) for key, item in given.items()})
    if isinstance(given, list):
        return ("list", [exact(item, one_nan=one_nan) for item in given])
    if is_dataclass(given):
        parts = {f.name: getattr(given, f.name) for f in fields(given)}
        return (type(given), exact(parts, one_nan=one_nan))
    return (type(given), given)
