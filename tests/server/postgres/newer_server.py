"""A simulated next version of `podium serve`, whose tables have more columns and an index."""

import sys

from podium_server.serve.command import main
from podium_server.store.postgres import schema

__all__ = ["EXPANSION", "MODULE"]

MODULE = "tests.server.postgres.newer_server"
EXPANSION = (
    "ALTER TABLE experiments ADD COLUMN IF NOT EXISTS later BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE arms ADD COLUMN IF NOT EXISTS later TEXT",
    "ALTER TABLE evals ADD COLUMN IF NOT EXISTS later BYTEA",
    "CREATE TABLE IF NOT EXISTS later (experiment BIGINT PRIMARY KEY)",
    "CREATE INDEX IF NOT EXISTS evals_later ON evals (experiment, later)",
)
"""The migration to the next version."""

if __name__ == "__main__":
    schema.MIGRATIONS = (*schema.MIGRATIONS, EXPANSION)
    schema.VERSION = len(schema.MIGRATIONS)
    sys.exit(main())
