-- Subscriptions as Stripe last described them, and the purchases that created them.

-- Many per customer: a canceled one stays as history. `version` counts writes: of two concurrent
-- fetches from Stripe, the one with the older response cannot be written last.
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
    pause_behavior       TEXT,
    pause_resumes_at     BIGINT,
    paused_reason        TEXT,
    paid_tier            TEXT,    -- of the last paid invoice, while a payment is missing
    paid_until           BIGINT,
    reversals            TEXT    NOT NULL, -- JSON: billing::ledger::Reversal[]
    is_disputed          BOOLEAN NOT NULL, -- a dispute of one of its payments is open
    is_reversed          BOOLEAN NOT NULL, -- the payment for its current period was lost in a dispute or refunded in full
    past_due_since       BIGINT,
    last_known_tier      TEXT,
    version              BIGINT  NOT NULL,
    synced_at            BIGINT  NOT NULL
);
CREATE INDEX subscription_account ON subscription (account_id);
CREATE INDEX subscription_running ON subscription (id) WHERE status NOT IN ('canceled', 'incomplete_expired');
CREATE INDEX subscription_disputed ON subscription (account_id) WHERE is_disputed;
CREATE INDEX subscription_reversed ON subscription (account_id) WHERE is_reversed;

-- A subscription after each write that changed it, and its cause. Append-only: an audit trail of every
-- account's access.
CREATE TABLE subscription_revision (
    subscription_id TEXT   NOT NULL REFERENCES subscription (id),
    version         BIGINT NOT NULL,
    account_id      TEXT   NOT NULL REFERENCES account (id),
    snapshot        TEXT   NOT NULL, -- JSON: billing::Subscription
    cause           TEXT   NOT NULL, -- event ids, or another reason for the request to Stripe
    written_at      BIGINT NOT NULL,
    PRIMARY KEY (subscription_id, version)
);
CREATE INDEX subscription_revision_account ON subscription_revision (account_id, written_at);

-- Changes to be delivered to the host, in order per account.
CREATE TABLE billing_change (
    account_id       TEXT   NOT NULL REFERENCES account (id),
    number           BIGINT NOT NULL, -- counted per account, from 1
    subscription_id  TEXT   NOT NULL,
    version          BIGINT NOT NULL, -- the revision
    state            TEXT   NOT NULL CHECK (state IN ('pending', 'delivered', 'skipped')),
    attempts         BIGINT NOT NULL DEFAULT 0,
    next_attempt_at  BIGINT NOT NULL,
    lease_owner      TEXT,
    lease_until      BIGINT,
    last_error       TEXT,
    created_at       BIGINT NOT NULL,
    settled_at       BIGINT,
    PRIMARY KEY (account_id, number)
);
CREATE INDEX billing_change_due ON billing_change (next_attempt_at, account_id) WHERE state = 'pending';
CREATE INDEX billing_change_created ON billing_change (created_at, account_id, number);
CREATE INDEX billing_change_state ON billing_change (state, created_at, account_id, number);
CREATE INDEX billing_change_failing ON billing_change (created_at) WHERE state = 'pending' AND last_error IS NOT NULL;
CREATE INDEX billing_change_settled ON billing_change (settled_at) WHERE state <> 'pending';

-- A started purchase. Its id is the idempotency key in Stripe, and its columns hold the whole request
-- to Stripe, so that a retry sends the same.
CREATE TABLE checkout_attempt (
    id             TEXT   NOT NULL PRIMARY KEY,
    account_id     TEXT   NOT NULL REFERENCES account (id),
    customer_id    TEXT   NOT NULL,
    kind           TEXT   NOT NULL CHECK (kind IN ('subscription', 'product')),
    item           TEXT   NOT NULL, -- plan and interval, such as PRO/month; or the product's key
    price_id       TEXT   NOT NULL,
    metered_prices TEXT   NOT NULL, -- ids separated by spaces: the prices of usage that is billed on top of the plan
    trial_days     BIGINT NOT NULL,
    status         TEXT   NOT NULL CHECK (status IN ('creating', 'open', 'complete', 'expired', 'superseded', 'failed')),
    session_id     TEXT   UNIQUE,
    url            TEXT,
    created_at     BIGINT NOT NULL
);
-- One open attempt for plans, and one for each product.
CREATE INDEX checkout_attempt_open ON checkout_attempt (account_id) WHERE status IN ('creating', 'open');
CREATE UNIQUE INDEX checkout_attempt_one_plan ON checkout_attempt (account_id)
    WHERE kind = 'subscription' AND status IN ('creating', 'open');
CREATE UNIQUE INDEX checkout_attempt_one_product ON checkout_attempt (account_id, item)
    WHERE kind = 'product' AND status IN ('creating', 'open');

-- Used trials: by account, by canonical e-mail address and by the card's fingerprint.
CREATE TABLE trial_claim (
    claim           TEXT   NOT NULL PRIMARY KEY, -- SHA-256 in hex, of account:…, email:… or card:…
    subscription_id TEXT   NOT NULL,
    claimed_at      BIGINT NOT NULL
);
