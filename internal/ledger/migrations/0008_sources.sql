-- Objects that are deleted once their rows are in.

ALTER TABLE bucketload.runs
    ADD deleting boolean NOT NULL DEFAULT false;     -- published, and objects of it are still to be deleted
ALTER TABLE bucketload.files
    ADD deleted_at timestamptz;                      -- when bucketload deleted the object
