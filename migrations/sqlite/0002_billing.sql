-- What Stripe says, as of the last time it was asked.

-- One that was deleted at Stripe stays, because what it paid stays; its account may get another.
CREATE TABLE customer (
    id         TEXT    NOT NULL PRIMARY KEY, -- cus_…
    account_id TEXT    NOT NULL REFERENCES account (id),
    email      TEXT,
    name       TEXT,
    is_deleted BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL DEFAULT 0,
    synced_at  BIGINT
);
CREATE UNIQUE INDEX customer_account ON customer (account_id) WHERE NOT is_deleted;

-- Many per customer: a cancelled one stays as history. `version` counts writes, so that
-- of two who asked Stripe at once the one with the older answer cannot write last.
CREATE TABLE subscription (
    id                   TEXT    NOT NULL PRIMARY KEY, -- sub_…
    account_id           TEXT    NOT NULL REFERENCES account (id),
    customer_id          TEXT    NOT NULL REFERENCES customer (id),
    status               TEXT    NOT NULL,
    items                TEXT    NOT NULL, -- JSON: billing::Item[]
    created              BIGINT  NOT NULL,
    billing_cycle_anchor BIGINT  NOT NULL,
    cancel_at_period_end BOOLEAN NOT NULL,
    cancel_at            BIGINT,
    ended_at             BIGINT,
    trial_end            BIGINT,
    past_due_since       BIGINT,
    last_known_tier      TEXT,
    version              BIGINT  NOT NULL,
    synced_at            BIGINT  NOT NULL
);
CREATE INDEX subscription_account ON subscription (account_id);

-- What a subscription was after each write, and what made us look: only ever added to,
-- so that "who had what when, and why" has an answer.
CREATE TABLE subscription_revision (
    subscription_id TEXT   NOT NULL REFERENCES subscription (id),
    version         BIGINT NOT NULL,
    account_id      TEXT   NOT NULL REFERENCES account (id),
    snapshot        TEXT   NOT NULL, -- JSON: billing::Subscription
    cause           TEXT   NOT NULL, -- event ids, or the page that asked
    written_at      BIGINT NOT NULL,
    PRIMARY KEY (subscription_id, version)
);
CREATE INDEX subscription_revision_account ON subscription_revision (account_id, written_at);

-- One purchase that somebody set out on. Its id is the idempotency key at Stripe, its
-- columns are all that the request to Stripe is made of: a retry sends the same.
CREATE TABLE checkout_attempt (
    id          TEXT   NOT NULL PRIMARY KEY,
    account_id  TEXT   NOT NULL REFERENCES account (id),
    customer_id TEXT   NOT NULL,
    kind        TEXT   NOT NULL CHECK (kind IN ('subscription', 'product')),
    purchase    TEXT   NOT NULL, -- plan and interval, such as PRO/month; or the product's key
    price_id    TEXT   NOT NULL,
    trial_days  BIGINT NOT NULL,
    status      TEXT   NOT NULL CHECK (status IN ('creating', 'open', 'complete', 'expired', 'superseded', 'failed')),
    session_id  TEXT   UNIQUE,
    url         TEXT,
    created_at  BIGINT NOT NULL
);
-- One plan at a time, and each product once at a time.
CREATE UNIQUE INDEX checkout_attempt_one_plan ON checkout_attempt (account_id)
    WHERE kind = 'subscription' AND status IN ('creating', 'open');
CREATE UNIQUE INDEX checkout_attempt_one_product ON checkout_attempt (account_id, purchase)
    WHERE kind = 'product' AND status IN ('creating', 'open');

-- Who has had a trial: by account, by canonical e-mail and by the card's fingerprint.
CREATE TABLE trial_claim (
    claim           TEXT   NOT NULL PRIMARY KEY, -- account:…, email:… or card:…
    subscription_id TEXT   NOT NULL,
    claimed_at      BIGINT NOT NULL
);

-- Every event that Stripe ever delivered, once.
CREATE TABLE webhook_event (
    event_id        TEXT   NOT NULL PRIMARY KEY, -- evt_…
    type            TEXT   NOT NULL,
    api_version     TEXT,
    created         BIGINT NOT NULL, -- Stripe's time
    subject         TEXT,            -- what it belongs to, such as sub_…: applied together with its like
    customer_id     TEXT,
    payload         TEXT   NOT NULL, -- the bytes that were signed
    state           TEXT   NOT NULL CHECK (state IN ('pending', 'done', 'ignored', 'unmatched', 'parked')),
    attempts        BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    lease_owner     TEXT,
    lease_until     BIGINT,
    last_error      TEXT,
    received_at     BIGINT NOT NULL,
    settled_at      BIGINT
);
CREATE INDEX webhook_event_due ON webhook_event (next_attempt_at) WHERE state = 'pending';
CREATE INDEX webhook_event_subject ON webhook_event (subject) WHERE state = 'pending';
CREATE INDEX webhook_event_received ON webhook_event (received_at, event_id);
CREATE INDEX webhook_event_unmatched ON webhook_event (customer_id) WHERE state = 'unmatched';
