"""Distinguishes lasting errors of the outbox folder from temporary ones, such as a full disk."""

from __future__ import annotations

import errno

__all__ = ["is_lasting"]

_LASTING = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOLCK,
        errno.ENOSYS,
        errno.ENOTDIR,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EROFS,
    }
)


def is_lasting(error: Exception) -> bool:
    """Returns whether an error means that the outbox folder can never be written to.

    A full disk is a temporary error.
    """
    if isinstance(error, PermissionError) or not isinstance(error, OSError):
        return True
    return error.errno in _LASTING
