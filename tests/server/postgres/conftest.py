"""Tests of the PostgreSQL store alone, which `make test-postgres` runs."""

from tests.stores import kind


def pytest_ignore_collect() -> bool | None:
    """Ignores these tests if another store is tested."""
    return None if kind() == "postgres" else True
