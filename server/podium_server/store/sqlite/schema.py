"""The tables of the SQLite store, and the migrations of older files.

`MIGRATIONS[n]` changes a file from version n to n + 1. The version is kept in the file's
`user_version`. A released migration is never changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
from podium.scoring import sort_key

from podium_server.store.contract import StoreError
from podium_server.store.message_fields import config_digest, text_field
from podium_server.store.sql.codec import value_from

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "VERSION",
    "check",
    "identify",
    "is_marked",
    "mark",
    "migrate",
]

APPLICATION_ID = 0x506F6469
"""The mark of Podium's files ("Podi"): SQLite's `application_id`."""
_MARK_AT = 68
"""The offset of the mark in the header of a SQLite file."""

MIGRATIONS: Sequence[str] = (
    # Version 1
    """
CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    deleted INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    deletion INTEGER NOT NULL,
    next_ordinal INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    running INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    tags TEXT NOT NULL
) STRICT;

-- A table of its own, because every call rewrites the row of the experiment.
CREATE TABLE experiment_contents (
    experiment INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE streams (
    experiment INTEGER NOT NULL,
    writer_id TEXT NOT NULL,
    last_sequence INTEGER NOT NULL,
    subject TEXT,
    state INTEGER NOT NULL,
    PRIMARY KEY (experiment, writer_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE arms (
    experiment INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL,
    status INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    group_name TEXT,
    tags TEXT NOT NULL,
    attempt_id TEXT,
    attempt_order INTEGER,
    next_position INTEGER NOT NULL,
    eval_count INTEGER NOT NULL,
    primary_name TEXT,
    primary_step INTEGER,
    primary_class INTEGER,
    primary_position INTEGER,
    part_bytes INTEGER NOT NULL,
    digest BLOB,
    PRIMARY KEY (experiment, ordinal)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX arms_by_name ON arms (experiment, name);

CREATE TABLE arm_parts (
    experiment INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    part TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (experiment, arm, part)
) STRICT, WITHOUT ROWID;

-- A post-training row has post = 1 and step = 0.
CREATE TABLE evals (
    experiment INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    name TEXT NOT NULL,
    post INTEGER NOT NULL,
    step INTEGER NOT NULL,
    position INTEGER NOT NULL,
    primary_class INTEGER,
    model_ref TEXT,
    revision INTEGER NOT NULL,
    stamp BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (experiment, arm, name, post, step)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX evals_by_position ON evals (experiment, arm, position);
CREATE INDEX evals_by_class ON evals (experiment, arm, primary_class, position)
    WHERE post = 1 AND primary_class IS NOT NULL;

-- The arm's own (bare) scores have eval_name ''. A value is the 64 bits of its double.
CREATE TABLE scores (
    experiment INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    eval_name TEXT NOT NULL,
    key TEXT NOT NULL,
    value INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    step INTEGER,
    PRIMARY KEY (experiment, arm, eval_name, key)
) STRICT, WITHOUT ROWID;

-- The removed rows, for the change feed. The removal of a whole arm has eval_name ''.
CREATE TABLE removals (
    experiment INTEGER NOT NULL,
    arm TEXT NOT NULL,
    eval_name TEXT NOT NULL,
    post INTEGER NOT NULL,
    step INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (experiment, arm, eval_name, post, step)
) STRICT, WITHOUT ROWID;
""",
    # Version 2
    """
ALTER TABLE scores ADD COLUMN benchmark_id TEXT;
UPDATE scores SET benchmark_id = (
    SELECT text_field(e.content, 2) FROM arms a JOIN evals e
    ON e.experiment = a.experiment AND e.arm = a.ordinal
    AND e.name = CASE scores.eval_name WHEN '' THEN a.primary_name ELSE scores.eval_name END
    AND e.post = (scores.origin = 1) AND e.step = ifnull(scores.step, 0)
    WHERE a.experiment = scores.experiment AND a.ordinal = scores.arm
) WHERE origin <= 2;

-- A digest of the run_config without its name and seed.
ALTER TABLE arms ADD COLUMN config_digest BLOB NOT NULL DEFAULT x'';
UPDATE arms SET config_digest = config_digest(ifnull((
    SELECT content FROM arm_parts p
    WHERE p.experiment = arms.experiment AND p.arm = arms.ordinal AND p.part = 'config'
), x''));

-- The scores of COMPLETED arms in order. `podium.scoring.sort_key` defines `sort_key`.
CREATE TABLE ranks (
    experiment INTEGER NOT NULL,
    eval_name TEXT NOT NULL,
    key TEXT NOT NULL,
    sort_key INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    PRIMARY KEY (experiment, eval_name, key, sort_key, arm)
) STRICT, WITHOUT ROWID;

-- The number of these scores by their source. `source` is the name of the eval. `source` and
-- `benchmark_id` are '' if there is none.
CREATE TABLE rank_counts (
    experiment INTEGER NOT NULL,
    eval_name TEXT NOT NULL,
    key TEXT NOT NULL,
    origin INTEGER NOT NULL,
    source TEXT NOT NULL,
    benchmark_id TEXT NOT NULL,
    numbers INTEGER NOT NULL,
    nans INTEGER NOT NULL,
    PRIMARY KEY (experiment, eval_name, key, origin, source, benchmark_id)
) STRICT, WITHOUT ROWID;

-- The revision in which a COMPLETED arm last changed. Pages of one ranking have the same revision.
CREATE TABLE rank_changes (
    experiment INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO rank_changes
SELECT experiment, max(revision) FROM arms WHERE status = 3 GROUP BY experiment;

CREATE TEMP TABLE completed AS
SELECT s.experiment, s.eval_name, s.key, s.arm, s.origin, sort_key(s.value) AS sort_key,
    CASE WHEN s.origin > 2 THEN '' WHEN s.eval_name = '' THEN a.primary_name
    ELSE s.eval_name END AS source,
    ifnull(s.benchmark_id, '') AS benchmark_id
FROM scores s JOIN arms a ON a.experiment = s.experiment AND a.ordinal = s.arm
WHERE a.status = 3;
INSERT INTO ranks SELECT experiment, eval_name, key, sort_key, arm FROM completed;
INSERT INTO rank_counts
SELECT experiment, eval_name, key, origin, source, benchmark_id,
    sum(sort_key < 9223372036854775807), sum(sort_key = 9223372036854775807)
FROM completed GROUP BY 1, 2, 3, 4, 5, 6;
DROP TABLE completed;
""",
    # Version 3
    """
-- The time of the newest event or heartbeat of an arm.
ALTER TABLE arms ADD COLUMN last_heard INTEGER NOT NULL DEFAULT 0;
UPDATE arms SET last_heard = updated;
""",
    # Version 4
    """
-- For the change feed: the rows that changed after a revision.
CREATE INDEX arms_by_revision ON arms (experiment, revision);
CREATE INDEX evals_by_revision ON evals (experiment, revision);
CREATE INDEX removals_by_revision ON removals (experiment, revision);
""",
    # Version 5
    """
-- Training series: the values of all keys at a step, see points.py.
CREATE TABLE point_keys (
    experiment INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    id INTEGER NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (experiment, arm, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE points (
    experiment INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    step INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (experiment, arm, step)
) STRICT, WITHOUT ROWID;
""",
    # Version 6
    """
-- The id of the store. Backups of the store have the same id.
CREATE TABLE store (id TEXT NOT NULL) STRICT;
INSERT INTO store VALUES (lower(hex(randomblob(16))));
""",
    # Version 7
    """
-- The identity of the file, which is a part of epochs. A copy of the file gets another one.
CREATE TABLE identity (id BLOB NOT NULL, inode INTEGER NOT NULL) STRICT;
INSERT INTO identity VALUES (randomblob(8), 0);

-- The revision in which the status or the group of an arm last changed.
ALTER TABLE arms ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
UPDATE arms SET moved = revision;
""",
    # Version 8
    """
-- The access tokens: see podium_server.store.tokens. Prefixes are a list in JSON.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    role INTEGER NOT NULL,
    prefixes TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
""",
    # Version 9
    """
-- The name of the token that first used a stream's writer id; NULL without tokens.
ALTER TABLE streams ADD COLUMN owner TEXT;

-- The secret with which page tokens are encrypted.
ALTER TABLE store ADD COLUMN page_key BLOB NOT NULL DEFAULT x'';
UPDATE store SET page_key = randomblob(32);
""",
    # Version 10
    """
-- The limits of a token (see podium.model.TokenLimits), as an object in JSON.
ALTER TABLE tokens ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
""",
    # Version 11
    """
-- The number of stored rows of an experiment: see podium_server.store.rows.
ALTER TABLE experiments ADD COLUMN row_count INTEGER NOT NULL DEFAULT 0;
UPDATE experiments SET row_count = 1
    + (SELECT count(*) + ifnull(sum(eval_count), 0) FROM arms WHERE experiment = experiments.id)
    + (SELECT count(*) FROM points WHERE experiment = experiments.id)
WHERE deleted = 0;
""",
)
VERSION = len(MIGRATIONS)
"""The version of files that this server writes."""
_FUNCTIONS: Mapping[str, Any] = {
    "config_digest": config_digest,
    "sort_key": lambda bits: sort_key(value_from(bits)),
    "text_field": text_field,
}
"""Python functions that migrations call in SQL."""


def check(connection: apsw.Connection, path: str) -> None:
    """Raises an error for a file of another program or of a newer Podium, before any write."""
    marked = connection.pragma("application_id")
    empty = not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get
    if marked != APPLICATION_ID and not (marked == 0 and empty):
        raise StoreError(f"{path} is a database of another program; give another path")
    version = connection.pragma("user_version")
    if version > VERSION:
        raise StoreError(
            f"{path} has schema version {version}, but this server supports "
            f"at most {VERSION}; start a newer podium, or give another path"
        )


def mark(connection: apsw.Connection) -> None:
    """Marks a new file as a file of Podium, before the write-ahead log is used."""
    if connection.pragma("application_id") == 0:
        connection.pragma("application_id", APPLICATION_ID)


def is_marked(header: bytes) -> bool:
    """Returns whether the first bytes of a file mark it as a file of Podium."""
    return header[_MARK_AT : _MARK_AT + 4] == APPLICATION_ID.to_bytes(4)


def migrate(connection: apsw.Connection) -> None:
    """Migrates a file to the current version. If a step fails, the file is unchanged."""
    version = connection.pragma("user_version")
    if version == VERSION:
        return
    for name, function in _FUNCTIONS.items():
        connection.create_scalar_function(name, function, deterministic=True)
    with connection:
        for step in MIGRATIONS[version:]:
            connection.execute(step)
        connection.pragma("user_version", VERSION)


def identify(connection: apsw.Connection, inode: int) -> None:
    """Gives the store a new identity if the file's inode has changed, as in a copy of the file."""
    connection.execute(
        "UPDATE identity SET inode = ?1, id = randomblob(8) WHERE inode != ?1",
        (inode,),
    )
