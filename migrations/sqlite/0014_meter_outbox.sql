-- Use that is billed, on its way to Stripe. What comes together in one hour is one event;
-- its identifier is made once, so that Stripe counts it once however often it is sent.

CREATE TABLE meter_event (
    id            TEXT   NOT NULL PRIMARY KEY, -- the identifier at Stripe
    account_id    TEXT   NOT NULL REFERENCES account (id),
    meter         TEXT   NOT NULL,
    hour          BIGINT NOT NULL,             -- when it was used: the beginning of the hour, UTC
    quantity      BIGINT NOT NULL,
    state         TEXT   NOT NULL CHECK (state IN ('open', 'sealed', 'sent', 'parked')),
    attempts      BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    attempted_at  BIGINT,                      -- the first try whose outcome may be unknown
    last_error    TEXT,
    sent_at       BIGINT
);
-- What is being added to: at most one for an account, a meter and an hour.
CREATE UNIQUE INDEX meter_event_open ON meter_event (account_id, meter, hour) WHERE state = 'open';
CREATE INDEX meter_event_due ON meter_event (next_attempt_at) WHERE state IN ('open', 'sealed');

-- Who is at work on an account's meter: at most one call to Stripe at a time for each.
CREATE TABLE meter_sender (
    account_id  TEXT   NOT NULL REFERENCES account (id),
    meter       TEXT   NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter)
);
