"""Fills the current usage window of an account with plausible days, for screenshots.

Usage: month_of_usage.py DATABASE EMAIL, while no other program has the database open.
"""

import math
import sqlite3
import sys

DAY = 86_400
METERS = {"apiCallsPerMonth": 386, "aiGenerationsPerMonth": 21}

database = sqlite3.connect(sys.argv[1])
(account, start, now) = database.execute(
    """SELECT c.account_id, max(c.window_start), unixepoch() FROM usage_counter c
       JOIN membership m ON m.account_id = c.account_id JOIN app_user u ON u.id = m.user_id
       WHERE u.email = ?""",
    (sys.argv[2],),
).fetchone()

for meter, busy in METERS.items():
    total = 0
    for number, day in enumerate(range(start - start % DAY, now, DAY)):
        weekday = (day // DAY + 4) % 7  # 0 is Sunday
        swing = 0.72 + 0.28 * math.sin(1.7 * number + len(meter))
        used = round(busy * swing * (0.35 if weekday in (0, 6) else 1))
        total += used
        database.execute("INSERT OR REPLACE INTO usage_day VALUES (?, ?, ?, '', ?)", (account, meter, day, used))
    # The existing counter has the window.
    counter = """INSERT INTO usage_counter (account_id, meter, window_start, window_end, subscription_id, included, used, reserved)
        SELECT account_id, ?, window_start, window_end, subscription_id, included, ?, 0 FROM usage_counter
        WHERE account_id = ? AND window_start = ? LIMIT 1
        ON CONFLICT DO UPDATE SET used = excluded.used"""
    database.execute(counter, (meter, total, account, start))
database.commit()
