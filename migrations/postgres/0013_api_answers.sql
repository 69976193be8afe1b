-- What the API answered under an Idempotency-Key, so that the same question gets the same
-- answer. Written in the transaction that counts it.

CREATE TABLE api_answer (
    account_id      TEXT   NOT NULL REFERENCES account (id),
    idempotency_key TEXT   NOT NULL,
    body            TEXT   NOT NULL,
    answered_at     BIGINT NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
);
CREATE INDEX api_answer_time ON api_answer (answered_at);
