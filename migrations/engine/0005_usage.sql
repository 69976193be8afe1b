-- Usage: counters enforce limits, records make events idempotent, and days are for charts. No request
-- ever sums rows.

CREATE TABLE usage_counter (
    account_id      TEXT   NOT NULL REFERENCES account (id),
    meter           TEXT   NOT NULL,
    window_start    BIGINT NOT NULL,
    window_end      BIGINT NOT NULL, -- as planned; the window may be cut short
    subscription_id TEXT,            -- the subscription that the window belongs to; null on the free plan
    included        BIGINT NOT NULL, -- the limit when usage was last counted; the largest BIGINT for none
    used            BIGINT NOT NULL, -- units of the limit
    reserved        BIGINT NOT NULL, -- units of the limit held by reservations
    from_credits    BIGINT NOT NULL DEFAULT 0, -- credits used beyond the limit
    held_credits    BIGINT NOT NULL DEFAULT 0, -- credits held by reservations
    overage         BIGINT NOT NULL DEFAULT 0, -- used beyond both, to be billed
    held_overage    BIGINT NOT NULL DEFAULT 0, -- overage held by reservations
    PRIMARY KEY (account_id, meter, window_start)
);

-- One row per usage event, counted or still reserved. A released reservation is deleted, and its key is
-- free again. Rows are written only under the lock of their counter, which references the account: a
-- foreign key here would cost more than the write itself. The primary key begins with the idempotency
-- key: generated ones begin with the time, so that rows written at the same time are stored together.
CREATE TABLE usage_record (
    account_id      TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    meter           TEXT   NOT NULL,
    quantity        BIGINT NOT NULL,
    recorded_at     BIGINT NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('held', 'counted')),
    window_start    BIGINT NOT NULL,
    from_credits    BIGINT NOT NULL,
    overage         BIGINT NOT NULL,
    fingerprint     TEXT   NOT NULL, -- of the request: a key identifies one request
    source          TEXT   NOT NULL, -- of the usage, such as an API key's id; may be empty
    metadata        TEXT,            -- JSON about the work
    reservation_id  TEXT,            -- while it is held
    expires_at      BIGINT,
    PRIMARY KEY (idempotency_key, account_id)
);
CREATE INDEX usage_record_held ON usage_record (expires_at) WHERE state = 'held';
CREATE INDEX usage_record_time ON usage_record (recorded_at);

CREATE TABLE usage_day (
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    day        BIGINT NOT NULL, -- midnight UTC
    source     TEXT   NOT NULL,
    used       BIGINT NOT NULL,
    PRIMARY KEY (account_id, day, meter, source)
);

-- A meter that reached 80 or 100 percent of its limit: once per window.
CREATE TABLE usage_notice (
    account_id   TEXT   NOT NULL REFERENCES account (id),
    meter        TEXT   NOT NULL,
    window_start BIGINT NOT NULL,
    percent      BIGINT NOT NULL,
    raised_at    BIGINT NOT NULL,
    dismissed_at BIGINT,
    PRIMARY KEY (account_id, meter, window_start, percent)
);
CREATE INDEX usage_notice_window ON usage_notice (window_start);

-- The response of committed work, under its idempotency key, so that a repeated request gets the
-- same one. Written in the transaction that counts the usage.
CREATE TABLE idempotent_response (
    account_id      TEXT   NOT NULL REFERENCES account (id),
    idempotency_key TEXT   NOT NULL,
    body            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
);
CREATE INDEX idempotent_response_time ON idempotent_response (created_at);

-- Prepaid units. A grant holds one purchase's current units; the balance is the sum of the grants,
-- stored next to them.
CREATE TABLE credit_grant (
    source     TEXT   NOT NULL PRIMARY KEY, -- the purchase
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    units      BIGINT NOT NULL, -- 0 once fully refunded
    granted_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX credit_grant_account ON credit_grant (account_id, meter);

-- `consumed` exceeds `granted` if credits were refunded after they had been used.
CREATE TABLE credit_balance (
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    granted    BIGINT NOT NULL,
    consumed   BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter)
);

-- Overage to be reported to Stripe. The usage of one hour is one event, whose identifier never changes,
-- so that Stripe counts it once however often it is sent.
CREATE TABLE meter_event (
    id              TEXT   NOT NULL PRIMARY KEY, -- the identifier in Stripe
    account_id      TEXT   NOT NULL REFERENCES account (id),
    meter           TEXT   NOT NULL,
    hour            BIGINT NOT NULL,             -- its start, UTC; in a window's first hour, the window's start
    quantity        BIGINT NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('open', 'sealed', 'sent', 'parked')),
    attempts        BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    last_error      TEXT,
    sent_at         BIGINT
);
-- At most one open event per account, meter and hour.
CREATE UNIQUE INDEX meter_event_open ON meter_event (account_id, meter, hour) WHERE state = 'open';
CREATE INDEX meter_event_due ON meter_event (next_attempt_at) WHERE state IN ('open', 'sealed');
CREATE INDEX meter_event_state ON meter_event (state, hour);

-- The lease on sending an account's meter: at most one request to Stripe at a time for each.
CREATE TABLE meter_sender (
    account_id  TEXT   NOT NULL REFERENCES account (id),
    meter       TEXT   NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter)
);
