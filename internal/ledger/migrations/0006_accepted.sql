-- Rows that a person lets pass, and those that are put among others.

ALTER TABLE bucketload.runs
    ADD refused  text[],                             -- the load's checks that found something against its rows, by name
    ADD accepted text[],                             -- those that a person has let pass
    ADD merges   boolean NOT NULL DEFAULT false;     -- its staging is put among the rows of the live table, which stays
