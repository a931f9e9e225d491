-- Rows that could not be loaded.

ALTER TABLE bucketload.batches
    ADD rejected bigint NOT NULL DEFAULT 0;          -- rows of its loaded files

ALTER TABLE bucketload.files
    ADD replaced bigint NOT NULL DEFAULT 0,          -- characters that the load replaced or left out, as the configuration says
    ADD duplicates bigint NOT NULL DEFAULT 0,        -- rows that on_duplicate left out; no part of rows or rejected
    ADD shape    jsonb;                              -- what it takes to read its rejects again; null where it has none

CREATE TABLE bucketload.rejects (
    run         text        NOT NULL,
    file        int         NOT NULL,
    no          bigint      NOT NULL,                -- of the file's rejects, from 1
    line        bigint      NOT NULL,                -- physical, from 1, header included; 0: none
    byte_offset bigint      NOT NULL,                -- of the row in the plain file
    code        text        NOT NULL,
    column_name text        NOT NULL,                -- '': none
    message     text        NOT NULL,
    hint        text        NOT NULL,
    value       text        NOT NULL,                -- as read, bounded
    raw         bytea       NOT NULL,                -- the row's original bytes, or the first of them
    bytes       bigint      NOT NULL,                -- of the whole row
    cut         boolean     NOT NULL GENERATED ALWAYS AS (octet_length(raw) < bytes) STORED,
    duplicate   boolean     NOT NULL DEFAULT false,  -- found as a key was built on the table: raw is the row as JSON
    replayed_at timestamptz,                         -- it was loaded after all
    PRIMARY KEY (run, file, no),
    FOREIGN KEY (run, file) REFERENCES bucketload.files ON DELETE CASCADE
);
