-- The data of the gated pages, which your product replaces.

CREATE TABLE api_key (
    id           TEXT   NOT NULL PRIMARY KEY,
    account_id   TEXT   NOT NULL REFERENCES account (id),
    name         TEXT   NOT NULL,
    key_hash     TEXT   NOT NULL UNIQUE, -- SHA-256 in hex; the key itself is shown once and not stored
    hint         TEXT   NOT NULL,        -- its first characters
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX api_key_account ON api_key (account_id);

CREATE TABLE custom_domain (
    account_id TEXT   NOT NULL PRIMARY KEY REFERENCES account (id),
    domain     TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE support_message (
    id         TEXT   NOT NULL PRIMARY KEY,
    account_id TEXT   NOT NULL REFERENCES account (id),
    subject    TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX support_message_account ON support_message (account_id, created_at);
