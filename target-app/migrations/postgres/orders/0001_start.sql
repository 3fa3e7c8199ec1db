-- `request_key` makes a repeated request find the cart the first one made. `order_id` is set while an
-- order holds the cart, which then takes no changes.
CREATE TABLE carts (
    id          TEXT PRIMARY KEY,
    shopper_id  TEXT NOT NULL,
    request_key TEXT NOT NULL,
    order_id    TEXT,
    created_at  BIGINT NOT NULL
);

CREATE UNIQUE INDEX carts_by_key ON carts (shopper_id, request_key);

-- `last_key` is the key of the latest change, so that repeating it does not add twice.
CREATE TABLE cart_lines (
    cart_id    TEXT NOT NULL,
    product_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    unit_price BIGINT NOT NULL,
    quantity   BIGINT NOT NULL CHECK (quantity > 0),
    last_key   TEXT NOT NULL,
    PRIMARY KEY (cart_id, product_id)
);

-- `fingerprint` is what the key was first used for. `due` is 1 while somebody still has to act: the
-- order is not at its end, or stock must be given back.
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,
    shopper_id  TEXT NOT NULL,
    request_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    cart_id     TEXT,
    card        TEXT NOT NULL,
    lines       TEXT NOT NULL,
    amount      BIGINT NOT NULL DEFAULT 0,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'reserved', 'confirmed', 'refused', 'cancelled')),
    refusal     TEXT,
    reason      TEXT,
    charge_id   TEXT,
    due         BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE UNIQUE INDEX orders_by_key ON orders (shopper_id, request_key);
CREATE INDEX orders_due ON orders (updated_at) WHERE due = 1;

-- Events written in the transaction of what they tell, until the consumer has them.
CREATE TABLE outbox (
    sequence      BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    event_id      TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL,
    payload       TEXT NOT NULL,
    claimed_by    TEXT,
    claimed_until BIGINT NOT NULL DEFAULT 0
);
