"""Provides the module zipfile with support for Zstandard, which Python itself has from 3.14 on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.version_info >= (3, 14):
    import zipfile
else:
    try:
        from backports.zstd import zipfile
    except ImportError:  # without podium[import], only other compressions can be read
        import zipfile

__all__ = ["zipfile"]
