-- Payments that are paused at Stripe: how, and until when.

ALTER TABLE subscription ADD COLUMN pause_behavior   TEXT;
ALTER TABLE subscription ADD COLUMN pause_resumes_at BIGINT;
