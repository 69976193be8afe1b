-- Usage: the counter decides, the records prove, the days show. Nothing is ever summed
-- to answer a request.

CREATE TABLE usage_counter (
    account_id   TEXT   NOT NULL REFERENCES account (id),
    meter        TEXT   NOT NULL,
    window_start BIGINT NOT NULL,
    used         BIGINT NOT NULL,
    reserved     BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter, window_start)
);

-- A record is only ever written under the lock of its counter, which refers to the account: to look
-- the account up once more for each would cost more than writing it.
CREATE TABLE usage_record (
    account_id      TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    meter           TEXT   NOT NULL,
    quantity        BIGINT NOT NULL,
    recorded_at     BIGINT NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
);

CREATE TABLE usage_day (
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    day        BIGINT NOT NULL, -- midnight UTC
    used       BIGINT NOT NULL,
    PRIMARY KEY (account_id, day, meter)
);
