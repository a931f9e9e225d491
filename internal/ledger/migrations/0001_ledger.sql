-- The ledger: the only memory of bucketload.

CREATE TABLE bucketload.runs (
    id           text PRIMARY KEY,
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    mode         text        NOT NULL,
    load         jsonb       NOT NULL,               -- the effective definition, without secrets
    columns      jsonb,                              -- what Prepare resolved: one entry per column of the COPY
    build        jsonb,                              -- the statements that finish its staging table, in order
    built        int         NOT NULL DEFAULT 0,     -- how many of them are done
    staging      boolean     NOT NULL DEFAULT true,  -- false: rows go straight into the live table
    status       text        NOT NULL DEFAULT 'running'
                 CHECK (status IN ('running', 'succeeded', 'partial', 'failed', 'cancelled')),
    state        text        NOT NULL DEFAULT 'Plan',
    attempt      int         NOT NULL DEFAULT 1,     -- tries of the run so far
    planned_at   timestamptz,                        -- the listing is complete
    started_at   timestamptz NOT NULL DEFAULT now(),
    resumed_at   timestamptz,                        -- the last redrive
    ended_at     timestamptz,
    published_at timestamptz,                        -- its rows became the live table
    backup       text,                               -- schema.table of the table it replaced
    error        jsonb                               -- the first cause
);
CREATE UNIQUE INDEX runs_one_active ON bucketload.runs (table_schema, table_name) WHERE status = 'running';
CREATE INDEX runs_of_table ON bucketload.runs (table_schema, table_name, id);

CREATE TABLE bucketload.batches (
    run    text    NOT NULL REFERENCES bucketload.runs ON DELETE CASCADE,
    no     int     NOT NULL,
    bytes  bigint  NOT NULL,
    done   boolean NOT NULL DEFAULT false,           -- every file of it is loaded or failed
    failed int     NOT NULL DEFAULT 0,               -- files
    PRIMARY KEY (run, no)
);

CREATE TABLE bucketload.files (
    run       text    NOT NULL REFERENCES bucketload.runs ON DELETE CASCADE,
    no        int     NOT NULL,                      -- in the order of the listing
    batch     int,                                   -- null: skipped
    uri       text    NOT NULL,
    size      bigint  NOT NULL,
    version   text    NOT NULL,
    state     text    NOT NULL CHECK (state IN ('planned', 'loaded', 'failed', 'skipped')),
    rows      bigint  NOT NULL DEFAULT 0,
    rejected  bigint  NOT NULL DEFAULT 0,
    attempts  int     NOT NULL DEFAULT 0,
    transient boolean NOT NULL DEFAULT false,        -- failed, but trying again may help
    error     jsonb,
    PRIMARY KEY (run, no)
);
CREATE INDEX files_of_batch ON bucketload.files (run, batch);
-- "has this object been loaded into this table?"; hashed: a URI may pass the size of an index entry
CREATE INDEX files_loaded ON bucketload.files (hashtextextended(uri, 0)) WHERE state = 'loaded';

CREATE TABLE bucketload.backups (
    backup_schema text        NOT NULL,
    backup_name   text        NOT NULL,
    backup_oid    oid         NOT NULL,              -- tells it from another table that got its name since
    table_schema  text        NOT NULL,
    table_name    text        NOT NULL,
    run           text        NOT NULL,              -- the run whose swap moved it here
    names         jsonb       NOT NULL,              -- [{kind, name, was}]: what had to be renamed on the way
    made_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (backup_schema, backup_name)
);
