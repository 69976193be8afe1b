-- Units that were bought once. A grant says what one purchase gives now; the balance is
-- their sum, kept beside them so that nothing is summed to answer a request.

CREATE TABLE credit_grant (
    source     TEXT   NOT NULL PRIMARY KEY, -- the purchase
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    units      BIGINT NOT NULL, -- 0 once it was taken back
    granted_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX credit_grant_account ON credit_grant (account_id, meter);

-- `consumed` may pass `granted`: what was used of a purchase that was then refunded.
CREATE TABLE credit_balance (
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    granted    BIGINT NOT NULL,
    consumed   BIGINT NOT NULL,
    PRIMARY KEY (account_id, meter)
);
