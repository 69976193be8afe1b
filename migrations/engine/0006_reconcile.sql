-- The differences found by reconciliation with Stripe. A difference is one row from the run that first
-- saw it to the one that fixed it or found it resolved, however many runs see it.

CREATE TABLE reconcile_run (
    id          TEXT    NOT NULL PRIMARY KEY,
    is_dry      BOOLEAN NOT NULL,
    started_at  BIGINT  NOT NULL,
    finished_at BIGINT,
    error       TEXT
);
CREATE INDEX reconcile_run_started ON reconcile_run (started_at);

CREATE TABLE drift (
    id          TEXT   NOT NULL PRIMARY KEY,
    key         TEXT   NOT NULL, -- the same in every run that finds it
    kind        TEXT   NOT NULL,
    subject     TEXT   NOT NULL, -- the id of the object in Stripe
    description TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('open', 'fixed', 'resolved')),
    found_at    BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    run_id      TEXT   NOT NULL REFERENCES reconcile_run (id) -- the last run that saw it
);
CREATE UNIQUE INDEX drift_open ON drift (key) WHERE state = 'open';
CREATE INDEX drift_open_kind ON drift (kind) WHERE state = 'open';
-- Operators' lists, newest first, with each of their filters.
CREATE INDEX drift_found ON drift (found_at, id);
CREATE INDEX drift_state ON drift (state, found_at, id);
CREATE INDEX drift_kind ON drift (kind, state, found_at, id);
CREATE INDEX drift_subject ON drift (subject, found_at, id);
CREATE INDEX drift_seen ON drift (seen_at);
CREATE INDEX drift_run ON drift (run_id);

-- Customers that no account owns. A scheduled run asks Stripe about each only once a day.
CREATE TABLE unlinked_customer (
    customer_id TEXT   NOT NULL PRIMARY KEY,
    checked_at  BIGINT NOT NULL
);
CREATE INDEX unlinked_customer_checked ON unlinked_customer (checked_at);
