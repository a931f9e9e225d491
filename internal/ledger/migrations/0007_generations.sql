-- Generations: which run made the table that rows are in, and which of its
-- predecessors are kept.

ALTER TABLE bucketload.runs
    ADD generation text,                             -- the run that made the table which its rows are in, or are to be added to; null: no run did
    ADD validate   text[];                           -- statements that its swap left for later: foreign keys to be validated

ALTER TABLE bucketload.backups
    ADD generation text;                             -- the run that made it; null: no run did

UPDATE bucketload.runs r SET generation = CASE WHEN staging AND NOT merges AND published_at IS NOT NULL THEN id ELSE (
    SELECT b.id FROM bucketload.runs b
    WHERE b.table_schema = r.table_schema AND b.table_name = r.table_name AND b.staging AND NOT b.merges AND b.published_at < r.started_at
    ORDER BY b.published_at DESC LIMIT 1) END;

UPDATE bucketload.backups k SET generation = (
    SELECT b.id FROM bucketload.runs r JOIN bucketload.runs b ON b.table_schema = r.table_schema AND b.table_name = r.table_name
    WHERE r.id = k.run AND b.staging AND NOT b.merges AND b.published_at < r.published_at
    ORDER BY b.published_at DESC LIMIT 1);

-- Runs that an older program began, and that may be gone on with.
UPDATE bucketload.runs SET load = load || '{"keep_backups": 1}' WHERE published_at IS NULL;
