"""The zip reader that knows most: Zstandard too, which Python's own knows from 3.14 on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.version_info >= (3, 14):
    import zipfile
else:
    try:
        from backports.zstd import zipfile
    except ImportError:  # without podium[import]: other zips can be read
        import zipfile

__all__ = ["zipfile"]
