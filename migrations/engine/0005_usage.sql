-- Usage: limits are enforced by counters, records make events idempotent, and days are for charts.
-- Nothing is ever summed to answer a request.

CREATE TABLE usage_counter (
    account_id      TEXT   NOT NULL REFERENCES account (id),
    meter           TEXT   NOT NULL,
    window_start    BIGINT NOT NULL,
    window_end      BIGINT NOT NULL, -- unless the window is cut short
    subscription_id TEXT,            -- the subscription that the window belongs to; null on the free plan
    included        BIGINT NOT NULL, -- the limit when usage was last counted; the largest number if there is none
    used            BIGINT NOT NULL, -- of the limit
    reserved        BIGINT NOT NULL, -- of the limit, by reservations
    from_credits    BIGINT NOT NULL DEFAULT 0, -- used beyond the limit, out of credits
    held_credits    BIGINT NOT NULL DEFAULT 0, -- credits held by reservations
    overage         BIGINT NOT NULL DEFAULT 0, -- used beyond both, to be billed
    PRIMARY KEY (account_id, meter, window_start)
);

-- One row per usage event, counted or still reserved. A reservation that is released is deleted,
-- and its key is free again. Written only under the lock of its counter, which refers to the
-- account: checking that reference again for each row would cost more than writing it. The key comes
-- first: generated ones begin with the time, so that the records of all accounts written at the same
-- time lie together.
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
    fingerprint     TEXT   NOT NULL, -- of the request: the same key means the same request
    source          TEXT   NOT NULL, -- what used it, such as an API key's id; may be empty
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

-- Units that were bought once. A grant says what one purchase gives now; the balance is the sum of
-- the grants, kept beside them.
CREATE TABLE credit_grant (
    source     TEXT   NOT NULL PRIMARY KEY, -- the purchase
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    units      BIGINT NOT NULL, -- 0 once all of it was refunded
    granted_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX credit_grant_account ON credit_grant (account_id, meter);

-- `consumed` may exceed `granted`: credits that were refunded after they had been used.
CREATE TABLE credit_balance (
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    granted    BIGINT NOT NULL,
    consumed   BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter)
);

-- Overage on its way to Stripe. The usage of one hour is one event, whose identifier is made once,
-- so that Stripe counts it once however often it is sent.
CREATE TABLE meter_event (
    id              TEXT   NOT NULL PRIMARY KEY, -- the identifier at Stripe
    account_id      TEXT   NOT NULL REFERENCES account (id),
    meter           TEXT   NOT NULL,
    hour            BIGINT NOT NULL,             -- its beginning, UTC; in a window's first hour, the window's
    quantity        BIGINT NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('open', 'sealed', 'sent', 'parked')),
    attempts        BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    attempted_at    BIGINT,                      -- the first attempt whose outcome may be unknown
    last_error      TEXT,
    sent_at         BIGINT
);
-- At most one open event per account, meter and hour.
CREATE UNIQUE INDEX meter_event_open ON meter_event (account_id, meter, hour) WHERE state = 'open';
CREATE INDEX meter_event_due ON meter_event (next_attempt_at) WHERE state IN ('open', 'sealed');

-- The lease on sending an account's meter: at most one request to Stripe at a time for each.
CREATE TABLE meter_sender (
    account_id  TEXT   NOT NULL REFERENCES account (id),
    meter       TEXT   NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter)
);
