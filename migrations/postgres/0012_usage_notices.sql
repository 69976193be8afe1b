-- That a meter has come to 80 or 100 percent: once per window.

CREATE TABLE usage_notice (
    account_id   TEXT   NOT NULL REFERENCES account (id),
    meter        TEXT   NOT NULL,
    window_start BIGINT NOT NULL,
    percent      BIGINT NOT NULL,
    raised_at    BIGINT NOT NULL,
    dismissed_at BIGINT,
    PRIMARY KEY (account_id, meter, window_start, percent)
);
