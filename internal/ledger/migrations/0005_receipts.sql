-- A receipt changes a file's row on its page and touches no index: none has a
-- column that it changes, and half of each page is left for the new rows.
ALTER TABLE bucketload.files SET (fillfactor = 50);
DROP INDEX bucketload.files_loaded;
-- "has this object been loaded into this table?"; hashed: a URI may pass the size of an index entry
CREATE INDEX files_of_uri ON bucketload.files (hashtextextended(uri, 0));
