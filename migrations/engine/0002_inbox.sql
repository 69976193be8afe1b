-- Every event that Stripe has delivered, once.

CREATE TABLE webhook_event (
    event_id        TEXT   NOT NULL PRIMARY KEY, -- evt_…
    type            TEXT   NOT NULL,
    api_version     TEXT,
    created         BIGINT NOT NULL, -- Stripe's time
    subject         TEXT,            -- the object it belongs to, such as sub_…: events of one subject are applied together
    customer_id     TEXT,
    account_hint    TEXT,            -- the account its objects name, when that account does not exist yet
    payload         TEXT   NOT NULL, -- the signed bytes; empty once they are old or the account is closed
    state           TEXT   NOT NULL CHECK (state IN ('pending', 'done', 'ignored', 'unmatched', 'parked')),
    attempts        BIGINT NOT NULL DEFAULT 0,
    postponed       BIGINT NOT NULL DEFAULT 0, -- attempts that failed because Stripe was unavailable
    next_attempt_at BIGINT NOT NULL,
    lease_owner     TEXT,
    lease_until     BIGINT,
    last_error      TEXT,
    received_at     BIGINT NOT NULL,
    settled_at      BIGINT,
    CHECK (state <> 'pending' OR subject IS NOT NULL)
);
-- A claim reads only what it takes: events that are due and not leased, by time and by subject.
CREATE INDEX webhook_event_due ON webhook_event (next_attempt_at, event_id) WHERE state = 'pending' AND lease_until IS NULL;
CREATE INDEX webhook_event_subject ON webhook_event (subject, next_attempt_at) WHERE state = 'pending' AND lease_until IS NULL;
CREATE INDEX webhook_event_leased ON webhook_event (lease_until, subject) WHERE lease_until IS NOT NULL;
CREATE INDEX webhook_event_postponed ON webhook_event (received_at) WHERE state = 'pending' AND postponed > 0;
CREATE INDEX webhook_event_unmatched ON webhook_event (customer_id) WHERE state = 'unmatched';
CREATE INDEX webhook_event_hint ON webhook_event (account_hint) WHERE state = 'unmatched';
-- Operators' lists, newest first: each event is in the index of its state, so a new event is added to few indexes. The
-- events of a customer are in two indexes, because those that still have a payload are also searched for payloads to
-- erase.
CREATE INDEX webhook_event_pending ON webhook_event (received_at, event_id) WHERE state = 'pending';
CREATE INDEX webhook_event_done ON webhook_event (received_at, event_id) WHERE state = 'done';
CREATE INDEX webhook_event_ignored ON webhook_event (received_at, event_id) WHERE state = 'ignored';
CREATE INDEX webhook_event_waiting ON webhook_event (received_at, event_id) WHERE state = 'unmatched';
CREATE INDEX webhook_event_parked ON webhook_event (received_at, event_id) WHERE state = 'parked';
CREATE INDEX webhook_event_about ON webhook_event (subject, received_at, event_id) WHERE state <> 'pending' AND subject IS NOT NULL;
CREATE INDEX webhook_event_customer ON webhook_event (customer_id, received_at, event_id) WHERE payload <> '' AND customer_id IS NOT NULL;
CREATE INDEX webhook_event_erased ON webhook_event (customer_id, received_at, event_id) WHERE payload = '' AND customer_id IS NOT NULL;
-- Payloads to erase when they are old.
CREATE INDEX webhook_event_payload ON webhook_event (received_at) WHERE state IN ('done', 'ignored') AND payload <> '';
