-- Invoices, payments and purchases as Stripe last described them. Each row is stored under Stripe's own
-- id, so that an event that is delivered twice adds nothing.

CREATE TABLE invoice (
    id                   TEXT   NOT NULL PRIMARY KEY, -- in_…
    account_id           TEXT   NOT NULL REFERENCES account (id),
    customer_id          TEXT   NOT NULL REFERENCES customer (id),
    subscription_id      TEXT,
    number               TEXT,
    status               TEXT   NOT NULL,
    reason               TEXT,
    currency             TEXT   NOT NULL,
    total                BIGINT NOT NULL,
    amount_due           BIGINT NOT NULL,
    amount_paid          BIGINT NOT NULL,
    amount_remaining     BIGINT NOT NULL,
    credited_before      BIGINT NOT NULL, -- by credit notes, which reduced the amount due
    credited_after       BIGINT NOT NULL, -- by credit notes, of what was already paid
    period_end           BIGINT,          -- of the period that its lines bill
    created              BIGINT NOT NULL,
    finalized_at         BIGINT,
    due_date             BIGINT,
    paid_at              BIGINT,
    next_payment_attempt BIGINT,
    attempt_count        BIGINT NOT NULL,
    payments             TEXT   NOT NULL, -- JSON: the ids of its PaymentIntents
    version              BIGINT NOT NULL,
    synced_at            BIGINT NOT NULL
);
CREATE INDEX invoice_account ON invoice (account_id, created, id);

CREATE TABLE payment (
    id              TEXT    NOT NULL PRIMARY KEY, -- pi_…
    account_id      TEXT    NOT NULL REFERENCES account (id),
    customer_id     TEXT,
    status          TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    amount          BIGINT  NOT NULL,
    amount_refunded BIGINT  NOT NULL,
    amount_disputed BIGINT  NOT NULL, -- held or taken by banks
    is_disputed     BOOLEAN NOT NULL,
    description     TEXT,
    charge_id       TEXT,
    refunds         TEXT    NOT NULL, -- JSON: billing::ledger::Refund[]
    disputes        TEXT    NOT NULL, -- JSON: billing::ledger::Dispute[]
    card_brand      TEXT,
    card_last4      TEXT,
    receipt_url     TEXT,
    failure         TEXT,
    failure_code    TEXT,
    created         BIGINT  NOT NULL,
    version         BIGINT  NOT NULL,
    synced_at       BIGINT  NOT NULL
);
CREATE INDEX payment_account ON payment (account_id, created, id);

-- A one-time purchase. Its credits are derived from it and its payment.
CREATE TABLE purchase (
    session_id TEXT    NOT NULL PRIMARY KEY, -- cs_…
    account_id TEXT    NOT NULL REFERENCES account (id),
    payment_id TEXT,                         -- a free purchase has none
    is_paid    BOOLEAN NOT NULL,
    currency   TEXT    NOT NULL,
    total      BIGINT  NOT NULL,
    items      TEXT    NOT NULL,             -- JSON: billing::ledger::LineItem[]
    created    BIGINT  NOT NULL,
    version    BIGINT  NOT NULL,
    synced_at  BIGINT  NOT NULL
);
CREATE INDEX purchase_account ON purchase (account_id, created, session_id);
CREATE INDEX purchase_payment ON purchase (payment_id);
