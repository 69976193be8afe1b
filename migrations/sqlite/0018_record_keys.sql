-- The key first: those that are made here begin with the time, so that the records of all accounts
-- that come together lie together.
CREATE TABLE usage_record_by_key (
    account_id      TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    meter           TEXT   NOT NULL,
    quantity        BIGINT NOT NULL,
    recorded_at     BIGINT NOT NULL,
    state           TEXT   NOT NULL DEFAULT 'counted' CHECK (state IN ('held', 'counted')),
    window_start    BIGINT NOT NULL DEFAULT 0,
    from_credits    BIGINT NOT NULL DEFAULT 0,
    overage         BIGINT NOT NULL DEFAULT 0,
    fingerprint     TEXT   NOT NULL DEFAULT '', -- of the request: the same key means the same request
    source          TEXT   NOT NULL DEFAULT '', -- the API key that was used, if any
    metadata        TEXT,                       -- JSON, about the work
    holder          TEXT,                       -- the reservation, while it is held
    expires_at      BIGINT,
    PRIMARY KEY (idempotency_key, account_id)
);
INSERT INTO usage_record_by_key (account_id, idempotency_key, meter, quantity, recorded_at, state, window_start,
    from_credits, overage, fingerprint, source, metadata, holder, expires_at)
SELECT account_id, idempotency_key, meter, quantity, recorded_at, state, window_start,
    from_credits, overage, fingerprint, source, metadata, holder, expires_at FROM usage_record;
DROP TABLE usage_record;
ALTER TABLE usage_record_by_key RENAME TO usage_record;
CREATE INDEX usage_record_held ON usage_record (expires_at) WHERE state = 'held';
CREATE INDEX usage_record_time ON usage_record (recorded_at);
