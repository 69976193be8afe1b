-- People, what they pay for together, and their sign-in sessions.
-- Times are epoch seconds in UTC, ids are text, JSON is text: the same on both engines.

CREATE TABLE app_user (
    id              TEXT   NOT NULL PRIMARY KEY,
    email           TEXT   NOT NULL,
    login_key       TEXT   NOT NULL UNIQUE,
    email_canonical TEXT   NOT NULL,
    password_hash   TEXT   NOT NULL,
    role            TEXT   NOT NULL DEFAULT 'customer' CHECK (role IN ('customer', 'operator')),
    created_at      BIGINT NOT NULL
);

CREATE TABLE account (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    closed_at  BIGINT -- the ledger outlives the account
);

CREATE TABLE membership (
    account_id TEXT NOT NULL REFERENCES account (id),
    user_id    TEXT NOT NULL REFERENCES app_user (id),
    role       TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX membership_user ON membership (user_id);

-- Sign-in attempts not yet proved right, per e-mail and per address.
CREATE TABLE login_throttle (
    throttle_key TEXT   NOT NULL PRIMARY KEY,
    window_start BIGINT NOT NULL,
    attempts     BIGINT NOT NULL
);

-- The shape that tower-sessions-sqlx-store reads and writes.
CREATE SCHEMA tower_sessions;
CREATE TABLE tower_sessions.session (
    id          TEXT        NOT NULL PRIMARY KEY,
    data        BYTEA       NOT NULL,
    expiry_date TIMESTAMPTZ NOT NULL
);
