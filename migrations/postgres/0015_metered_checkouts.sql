-- The metered prices that a Checkout sells beside its plan: ids, with a space between.
ALTER TABLE checkout_attempt ADD COLUMN metered_prices TEXT NOT NULL DEFAULT '';
