-- Money that went back: one row for each key that ever asked for it. What a void gave back stands here
-- too, under the key of its charge with ` void` behind it.
CREATE TABLE refunds (
    request_key TEXT PRIMARY KEY,
    refund_id   TEXT NOT NULL UNIQUE,
    charge_id   TEXT NOT NULL,
    order_id    TEXT NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refunds_by_order ON refunds (order_id);
