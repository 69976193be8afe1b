-- What comparing with Stripe has found, so that an operator can look at it later.

CREATE TABLE reconcile_run (
    id          TEXT    NOT NULL PRIMARY KEY,
    is_dry      BOOLEAN NOT NULL,
    started_at  BIGINT  NOT NULL,
    finished_at BIGINT,
    error       TEXT
);
CREATE INDEX reconcile_run_started ON reconcile_run (started_at);

CREATE TABLE drift (
    run_id    TEXT    NOT NULL REFERENCES reconcile_run (id),
    place     BIGINT  NOT NULL,
    kind      TEXT    NOT NULL,
    subject   TEXT    NOT NULL, -- the object that it is about
    sentence  TEXT    NOT NULL,
    is_mended BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, place)
);
