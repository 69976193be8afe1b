-- Units held for work that can fail, what each use was taken from, and windows that can be
-- cut short. The counter still decides.

ALTER TABLE usage_counter ADD COLUMN window_end      BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_counter ADD COLUMN subscription_id TEXT;                      -- whose window; none on the free plan
ALTER TABLE usage_counter ADD COLUMN included        BIGINT NOT NULL DEFAULT 0; -- the limit when it was last counted
ALTER TABLE usage_counter ADD COLUMN from_credits    BIGINT NOT NULL DEFAULT 0; -- used beyond the limit, out of credits
ALTER TABLE usage_counter ADD COLUMN held_credits    BIGINT NOT NULL DEFAULT 0; -- credits that reservations hold
ALTER TABLE usage_counter ADD COLUMN overage         BIGINT NOT NULL DEFAULT 0; -- used beyond both, to be billed

-- One row for each use, counted or still held; a hold that is let go of is deleted, and its
-- key is free again. Times and parts say where a unit goes back to.
ALTER TABLE usage_record ADD COLUMN state        TEXT   NOT NULL DEFAULT 'counted' CHECK (state IN ('held', 'counted'));
ALTER TABLE usage_record ADD COLUMN window_start BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN from_credits BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN overage      BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD COLUMN fingerprint  TEXT   NOT NULL DEFAULT ''; -- of the request: the same key means the same request
ALTER TABLE usage_record ADD COLUMN source       TEXT   NOT NULL DEFAULT ''; -- the API key that was used, if any
ALTER TABLE usage_record ADD COLUMN metadata     TEXT;                       -- JSON, about the work
ALTER TABLE usage_record ADD COLUMN holder       TEXT;                       -- the reservation, while it is held
ALTER TABLE usage_record ADD COLUMN expires_at   BIGINT;
CREATE INDEX usage_record_held ON usage_record (expires_at) WHERE state = 'held';
CREATE INDEX usage_record_time ON usage_record (recorded_at);

-- By API key too: `source` is its id, empty for the account itself.
CREATE TABLE usage_by_day (
    account_id TEXT   NOT NULL REFERENCES account (id),
    meter      TEXT   NOT NULL,
    day        BIGINT NOT NULL, -- midnight UTC
    source     TEXT   NOT NULL,
    used       BIGINT NOT NULL,
    PRIMARY KEY (account_id, day, meter, source)
);
INSERT INTO usage_by_day (account_id, meter, day, source, used) SELECT account_id, meter, day, '', used FROM usage_day;
DROP TABLE usage_day;
ALTER TABLE usage_by_day RENAME TO usage_day;
