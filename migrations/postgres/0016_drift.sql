-- A difference from Stripe is one row from the run that saw it first to the one that mended it or
-- found it gone, however many runs see it.

DROP TABLE drift;
CREATE TABLE drift (
    id       TEXT   NOT NULL PRIMARY KEY,
    key      TEXT   NOT NULL, -- what every run that finds it calls it by
    kind     TEXT   NOT NULL,
    subject  TEXT   NOT NULL, -- the object that it is about
    sentence TEXT   NOT NULL,
    state    TEXT   NOT NULL CHECK (state IN ('left', 'mended', 'gone')),
    found_at BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL,
    run_id   TEXT   NOT NULL REFERENCES reconcile_run (id) -- the last that saw it
);
CREATE UNIQUE INDEX drift_left ON drift (key) WHERE state = 'left';
CREATE INDEX drift_found ON drift (found_at, id);
CREATE INDEX drift_seen ON drift (seen_at);
CREATE INDEX drift_run ON drift (run_id);
