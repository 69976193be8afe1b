-- The key first: those that are made here begin with the time, so that the records of all accounts
-- that come together lie together.
ALTER TABLE usage_record DROP CONSTRAINT usage_record_pkey;
ALTER TABLE usage_record ADD PRIMARY KEY (idempotency_key, account_id);
