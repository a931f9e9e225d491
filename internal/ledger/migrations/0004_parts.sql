-- Big files that are loaded in parts. A file's own row sums up what its parts
-- say: it is loaded once all of them are, and failed if one is. It has no batch.

CREATE TABLE bucketload.parts (
    run       text    NOT NULL,
    file      int     NOT NULL,
    no        int     NOT NULL,                      -- of the file's parts, from 1, one behind the other
    batch     int     NOT NULL,
    start     bigint  NOT NULL,                      -- its bytes: [start, stop) of the object
    stop      bigint  NOT NULL,
    state     text    NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'loaded', 'failed')),
    rows      bigint  NOT NULL DEFAULT 0,
    lines     bigint  NOT NULL DEFAULT 0,            -- physical ones, of a loaded part
    replaced  bigint  NOT NULL DEFAULT 0,            -- characters, as of a file
    attempts  int     NOT NULL DEFAULT 0,
    transient boolean NOT NULL DEFAULT false,        -- failed, but trying again may help
    error     jsonb,
    PRIMARY KEY (run, file, no),
    FOREIGN KEY (run, file) REFERENCES bucketload.files ON DELETE CASCADE
);
CREATE INDEX parts_of_batch ON bucketload.parts (run, batch);
-- "could this object not be read in parts before?"
CREATE INDEX parts_refused ON bucketload.parts (run) WHERE error->>'code' = 'boundary';
