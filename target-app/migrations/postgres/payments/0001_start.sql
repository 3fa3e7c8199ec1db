-- One row for each key that ever asked for money, with the answer it got for good.
CREATE TABLE charges (
    request_key TEXT PRIMARY KEY,
    charge_id   TEXT NOT NULL UNIQUE,
    order_id    TEXT NOT NULL,
    shopper_id  TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    card        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('charged', 'refused')),
    reason      TEXT,
    created_at  BIGINT NOT NULL
);

CREATE INDEX charges_by_order ON charges (order_id);
