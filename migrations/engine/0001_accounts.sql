-- Accounts and their Stripe customers. Times are epoch seconds in UTC, amounts minor units, ids and JSON
-- text: the same on both databases.

-- The id is the host's own. A closed account stays, because the ledger refers to it.
CREATE TABLE account (
    id              TEXT   NOT NULL PRIMARY KEY,
    email           TEXT   NOT NULL, -- the contact address
    -- For searches: the databases lower-case letters differently. Sorted by bytes, so that a prefix is a range.
    email_lower     TEXT COLLATE BINARY NOT NULL,
    email_canonical TEXT   NOT NULL, -- the address by which trials are counted
    name            TEXT, -- printed on invoices
    changes         BIGINT NOT NULL DEFAULT 0, -- the number of rows in billing_change so far
    created_at      BIGINT NOT NULL,
    closed_at       BIGINT
);
CREATE INDEX account_created ON account (created_at, id);
CREATE INDEX account_email ON account (email_lower, id);
CREATE INDEX account_closed ON account (closed_at) WHERE closed_at IS NOT NULL;

-- A Stripe customer. One deleted in Stripe stays; its account may get another.
CREATE TABLE customer (
    id         TEXT    NOT NULL PRIMARY KEY, -- cus_…
    account_id TEXT    NOT NULL REFERENCES account (id),
    email      TEXT,
    name       TEXT,
    is_deleted BOOLEAN NOT NULL DEFAULT FALSE,
    to_erase   BOOLEAN NOT NULL DEFAULT FALSE, -- its account is closed, and Stripe still has its address and name
    created_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL DEFAULT 0,
    synced_at  BIGINT
);
CREATE UNIQUE INDEX customer_account ON customer (account_id) WHERE NOT is_deleted;
CREATE INDEX customer_any ON customer (account_id);
CREATE INDEX customer_to_erase ON customer (account_id, id) WHERE to_erase;
