-- Which table a run's rows are in, so that one that was dropped and made anew is
-- known to be another.

ALTER TABLE bucketload.runs
    ADD table_oid  oid,                              -- null: none was there, or an older program has not said; 0: one that is gone
    ADD ledger_oid oid;                              -- of bucketload.runs at that time: after a restore both are others
