-- Facts about Stripe itself.

-- The account and mode that the stored objects belong to: at most one row.
CREATE TABLE stripe_account (
    singleton BIGINT  NOT NULL PRIMARY KEY CHECK (singleton = 1),
    id        TEXT    NOT NULL, -- acct_…
    is_live   BOOLEAN NOT NULL,
    stored_at BIGINT  NOT NULL
);

-- Requests that Stripe did not respond to. It repeats a failure under its idempotency key for a day, so the
-- key gets a number.
CREATE TABLE unanswered_request (
    key    TEXT   NOT NULL PRIMARY KEY, -- the key without a number
    number BIGINT NOT NULL,             -- of the key in use; 0 is the key without one
    since  BIGINT NOT NULL              -- the first failure under that key
);
