"""The tables of the PostgreSQL store, and their migrations.

The statements also run on Citus, YugabyteDB and CockroachDB: keys begin with the experiment's id,
ids are made by the servers, and there are no triggers, sequences, extensions or enums. Each
statement runs outside of a transaction and can be repeated. A lease in the row of the table `store`
lets one server at a time migrate.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from podium_server.store.contract import StoreError
from podium_server.store.sql.transfer import check_version

__all__ = ["MIGRATIONS", "VERSION", "check_current", "migrate"]

_STORE = """
CREATE TABLE IF NOT EXISTS store (
    singleton BIGINT PRIMARY KEY,
    application TEXT NOT NULL,
    version BIGINT NOT NULL,
    oldest_server BIGINT NOT NULL,
    leased_by TEXT NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE NOT NULL,
    id TEXT NOT NULL,
    page_key BYTEA NOT NULL,
    identity TEXT NOT NULL,
    database TEXT NOT NULL
)
"""
_TEXT = 'TEXT COLLATE "C"'
"""The type of string columns, which are compared as bytes."""
_VERSION_1 = (
    f"""
CREATE TABLE IF NOT EXISTS experiments (
    id BIGINT PRIMARY KEY,
    name {_TEXT} NOT NULL,
    deleted BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    deletion BIGINT NOT NULL,
    next_ordinal BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    pending BIGINT NOT NULL,
    running BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    tags {_TEXT} NOT NULL
) WITH (fillfactor = 50)
""",
    "CREATE INDEX IF NOT EXISTS experiments_by_name ON experiments (name)",
    """
CREATE TABLE IF NOT EXISTS experiment_contents (
    experiment BIGINT PRIMARY KEY,
    content BYTEA NOT NULL
)
""",
    f"""
CREATE TABLE IF NOT EXISTS streams (
    experiment BIGINT NOT NULL,
    writer_id {_TEXT} NOT NULL,
    last_sequence BIGINT NOT NULL,
    subject {_TEXT},
    state BIGINT NOT NULL,
    owner {_TEXT},
    PRIMARY KEY (experiment, writer_id)
) WITH (fillfactor = 70)
""",
    f"""
CREATE TABLE IF NOT EXISTS arms (
    experiment BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    name {_TEXT} NOT NULL,
    status BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    group_name {_TEXT},
    tags {_TEXT} NOT NULL,
    attempt_id {_TEXT},
    attempt_order BIGINT,
    next_position BIGINT NOT NULL,
    eval_count BIGINT NOT NULL,
    primary_name {_TEXT},
    primary_step BIGINT,
    primary_class BIGINT,
    primary_position BIGINT,
    part_bytes BIGINT NOT NULL,
    digest BYTEA,
    config_digest BYTEA NOT NULL,
    last_heard BIGINT NOT NULL,
    moved BIGINT NOT NULL,
    PRIMARY KEY (experiment, ordinal)
) WITH (fillfactor = 80)
""",
    "CREATE UNIQUE INDEX IF NOT EXISTS arms_by_name ON arms (experiment, name)",
    "CREATE INDEX IF NOT EXISTS arms_by_revision ON arms (experiment, revision, ordinal)",
    f"""
CREATE TABLE IF NOT EXISTS arm_parts (
    experiment BIGINT NOT NULL,
    arm BIGINT NOT NULL,
    part {_TEXT} NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (experiment, arm, part)
)
""",
    f"""
CREATE TABLE IF NOT EXISTS evals (
    experiment BIGINT NOT NULL,
    arm BIGINT NOT NULL,
    name {_TEXT} NOT NULL,
    post BIGINT NOT NULL,
    step BIGINT NOT NULL,
    position BIGINT NOT NULL,
    primary_class BIGINT,
    model_ref {_TEXT},
    revision BIGINT NOT NULL,
    stamp BYTEA NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (experiment, arm, name, post, step)
)
""",
    "CREATE UNIQUE INDEX IF NOT EXISTS evals_by_position ON evals (experiment, arm, position)",
    """
CREATE INDEX IF NOT EXISTS evals_by_class ON evals (experiment, arm, primary_class, position)
    WHERE post = 1 AND primary_class IS NOT NULL
""",
    """
CREATE INDEX IF NOT EXISTS evals_by_revision
    ON evals (experiment, revision, arm, name, post, step)
""",
    f"""
CREATE TABLE IF NOT EXISTS scores (
    experiment BIGINT NOT NULL,
    arm BIGINT NOT NULL,
    eval_name {_TEXT} NOT NULL,
    key {_TEXT} NOT NULL,
    value BIGINT NOT NULL,
    origin BIGINT NOT NULL,
    step BIGINT,
    benchmark_id {_TEXT},
    PRIMARY KEY (experiment, arm, eval_name, key)
) WITH (fillfactor = 80)
""",
    f"""
CREATE TABLE IF NOT EXISTS removals (
    experiment BIGINT NOT NULL,
    arm {_TEXT} NOT NULL,
    eval_name {_TEXT} NOT NULL,
    post BIGINT NOT NULL,
    step BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (experiment, arm, eval_name, post, step)
)
""",
    """
CREATE INDEX IF NOT EXISTS removals_by_revision
    ON removals (experiment, revision, arm, eval_name, post, step)
""",
    f"""
CREATE TABLE IF NOT EXISTS ranks (
    experiment BIGINT NOT NULL,
    eval_name {_TEXT} NOT NULL,
    key {_TEXT} NOT NULL,
    sort_key BIGINT NOT NULL,
    arm BIGINT NOT NULL,
    PRIMARY KEY (experiment, eval_name, key, sort_key, arm)
)
""",
    f"""
CREATE TABLE IF NOT EXISTS rank_counts (
    experiment BIGINT NOT NULL,
    eval_name {_TEXT} NOT NULL,
    key {_TEXT} NOT NULL,
    origin BIGINT NOT NULL,
    source {_TEXT} NOT NULL,
    benchmark_id {_TEXT} NOT NULL,
    numbers BIGINT NOT NULL,
    nans BIGINT NOT NULL,
    PRIMARY KEY (experiment, eval_name, key, origin, source, benchmark_id)
)
""",
    """
CREATE TABLE IF NOT EXISTS rank_changes (
    experiment BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL
)
""",
    f"""
CREATE TABLE IF NOT EXISTS point_keys (
    experiment BIGINT NOT NULL,
    arm BIGINT NOT NULL,
    id BIGINT NOT NULL,
    key {_TEXT} NOT NULL,
    PRIMARY KEY (experiment, arm, id)
)
""",
    """
CREATE TABLE IF NOT EXISTS points (
    experiment BIGINT NOT NULL,
    arm BIGINT NOT NULL,
    step BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (experiment, arm, step)
)
""",
    f"""
CREATE TABLE IF NOT EXISTS tokens (
    id {_TEXT} PRIMARY KEY,
    name {_TEXT} NOT NULL,
    digest BYTEA NOT NULL,
    role BIGINT NOT NULL,
    prefixes {_TEXT} NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    limits {_TEXT} NOT NULL
)
""",
)

_VERSION_2 = (
    "ALTER TABLE experiments ADD COLUMN IF NOT EXISTS row_count BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE experiments ADD COLUMN IF NOT EXISTS write_id BIGINT NOT NULL DEFAULT 0",
    """
UPDATE experiments SET row_count = 1
    + (SELECT count(*) + COALESCE(CAST(sum(eval_count) AS BIGINT), 0) FROM arms
       WHERE experiment = experiments.id)
    + (SELECT count(*) FROM points WHERE experiment = experiments.id)
WHERE deleted = 0
""",
)

MIGRATIONS: Sequence[Sequence[str]] = (_VERSION_1, _VERSION_2)
"""Item n has the statements that change a store of version n to n + 1."""
VERSION = len(MIGRATIONS)
"""The version of stores that this server writes."""
_OLDEST_SERVER = 2
"""The schema version of the oldest server that can use a store of this version."""

_APPLICATION = "podium"
_LEASE_TIME = timedelta(seconds=60)
_NEVER = 1e9
"""The timeout in seconds of a migration's statements. An index of a large table takes hours."""
_PAUSE_SECONDS = 0.05
_WAIT_SECONDS = 120
_TRIES = 20
_AT_ONCE = (
    asyncpg.UniqueViolationError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
    asyncpg.InternalServerError,
)
"""The errors of a statement that creates a table if several servers run it at the same time."""

_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name IN ('store', 'experiments')"
)
_CREATE = (
    "INSERT INTO store VALUES (1, $1, 0, 0, '', CURRENT_TIMESTAMP, $2, $3, $4, $5) "
    "ON CONFLICT (singleton) DO NOTHING"
)
_OTHER_PROGRAM = "the database has tables of another program; create a database for Podium alone"
_STATE = "SELECT application, version, oldest_server FROM store WHERE singleton = 1"
_LEASE = (
    "UPDATE store SET leased_by = $1, leased_until = CURRENT_TIMESTAMP + CAST($2 AS INTERVAL) "
    "WHERE singleton = 1 AND (leased_by IN ('', $1) OR leased_until < CURRENT_TIMESTAMP) "
    "RETURNING version"
)
_RELEASE = (
    "UPDATE store SET leased_by = '', version = $2, oldest_server = $3 "
    "WHERE singleton = 1 AND leased_by = $1"
)
_DATABASE = "SELECT CAST(oid AS TEXT) FROM pg_database WHERE datname = current_database()"
_IDENTIFY = "UPDATE store SET identity = $1, database = $2 WHERE singleton = 1 AND database <> $2"


async def migrate(connection: asyncpg.Connection) -> None:
    """Creates the tables, or migrates them to the current version.

    Raises:
        StoreError: The tables belong to another program, or need a newer server.
    """
    await _create(connection)
    server = secrets.token_hex(8)
    loop = asyncio.get_running_loop()
    ends = loop.time() + _WAIT_SECONDS
    while await _version(connection) < VERSION:
        version = await connection.fetchval(_LEASE, server, _LEASE_TIME)
        if version is not None:
            await connection.execute("SET statement_timeout = 0")
            for statement in (text for step in MIGRATIONS[version:] for text in step):
                # If a statement takes longer than the lease, another server can run it too.
                await connection.fetchval(_LEASE, server, _LEASE_TIME)
                await connection.execute(statement, timeout=_NEVER)
            await connection.execute("RESET statement_timeout")
            await connection.execute(_RELEASE, server, max(version, VERSION), _OLDEST_SERVER)
        elif loop.time() > ends:
            raise StoreError("another server is still migrating the store; try again later")
        else:
            await asyncio.sleep(_PAUSE_SECONDS)
    await _identify(connection)


async def check_current(connection: asyncpg.Connection, name: str) -> None:
    """Raises an error unless a database has the tables of the current version.

    `name` is the name of the database in messages.
    """
    columns = {tuple(row) for row in await connection.fetch(_COLUMNS)}
    if ("store", "oldest_server") not in columns:
        raise StoreError(f"{name} is not a store of Podium")
    check_version(name, await _version(connection), VERSION)


async def _create(connection: asyncpg.Connection) -> None:
    """Creates the table `store` with its row, unless they exist."""
    columns = {tuple(row) for row in await connection.fetch(_COLUMNS)}
    if ("store", "oldest_server") in columns:
        return
    if columns:
        raise StoreError(_OTHER_PROGRAM)
    for attempt in range(_TRIES):
        try:
            await connection.execute(_STORE)
        except _AT_ONCE:
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            break
    identity, page_key = secrets.token_hex(8), secrets.token_bytes(32)
    database = await connection.fetchval(_DATABASE)
    row = (_APPLICATION, secrets.token_hex(16), page_key, identity, database)
    await connection.execute(_CREATE, *row)


async def _version(connection: asyncpg.Connection) -> int:
    """Returns the version of the store. Raises an error if this server cannot use it."""
    state = await connection.fetchrow(_STATE)
    if state is None:
        return 0
    application, version, oldest = state
    if application != _APPLICATION:
        raise StoreError(_OTHER_PROGRAM)
    if oldest > VERSION:
        raise StoreError(
            f"the store has schema version {version}, but this server supports at most {VERSION}; "
            "start a newer podium, or give another database"
        )
    return int(version)


async def _identify(connection: asyncpg.Connection) -> None:
    """Gives the store a new identity if it is a copy in another database."""
    database = await connection.fetchval(_DATABASE)
    if await connection.fetchval("SELECT database FROM store") != database:
        await connection.execute(_IDENTIFY, secrets.token_hex(8), database)
