-- Users, the accounts they act for, and their sessions. An account's id is the engine's.

CREATE TABLE app_user (
    id            TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL,
    login_key     TEXT   NOT NULL UNIQUE, -- the address in lower case
    password_hash TEXT   NOT NULL,        -- Argon2, in PHC form
    role          TEXT   NOT NULL DEFAULT 'customer' CHECK (role IN ('customer', 'operator')),
    created_at    BIGINT NOT NULL
);

CREATE TABLE membership (
    account_id TEXT NOT NULL REFERENCES account (id),
    user_id    TEXT NOT NULL REFERENCES app_user (id),
    role       TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX membership_user ON membership (user_id);

-- Failed logins, and sign-ups, per e-mail address, client and device.
CREATE TABLE login_throttle (
    throttle_key TEXT   NOT NULL PRIMARY KEY, -- SHA-256 in hex, of the address, client or device
    window_start BIGINT NOT NULL,
    attempts     BIGINT NOT NULL
);
CREATE INDEX login_throttle_window ON login_throttle (window_start);

-- Browsers in which a user has logged in.
CREATE TABLE known_device (
    device_hash TEXT   NOT NULL PRIMARY KEY, -- SHA-256 in hex, of the browser's token and the login_key
    user_id     TEXT   NOT NULL REFERENCES app_user (id) ON DELETE CASCADE,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX known_device_user ON known_device (user_id);
CREATE INDEX known_device_expiry ON known_device (expires_at);

-- A session's id is a credential, so only its hash is stored.
CREATE TABLE session (
    id_hash    TEXT   NOT NULL PRIMARY KEY, -- SHA-256 in hex
    data       TEXT   NOT NULL,             -- JSON
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_expiry ON session (expires_at);
