-- An order that was sold can be taken back, and one whose payment stays open called off. SQLite cannot
-- change a CHECK, so the table is made anew.
CREATE TABLE orders_anew (
    id          TEXT PRIMARY KEY,
    shopper_id  TEXT NOT NULL,
    request_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    cart_id     TEXT,
    card        TEXT NOT NULL,
    lines       TEXT NOT NULL,
    amount      INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'reserved', 'confirmed', 'cancelling', 'refunded',
                                               'voiding', 'refused', 'cancelled')),
    refusal     TEXT,
    reason      TEXT,
    charge_id   TEXT,
    due         INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO orders_anew SELECT * FROM orders;
DROP TABLE orders;
ALTER TABLE orders_anew RENAME TO orders;

CREATE UNIQUE INDEX orders_by_key ON orders (shopper_id, request_key);
CREATE INDEX orders_due ON orders (updated_at) WHERE due = 1;

CREATE TRIGGER order_made AFTER INSERT ON orders BEGIN
    INSERT INTO order_states (order_id, step, state, at) VALUES (new.id, 1, new.state, new.created_at);
END;

CREATE TRIGGER order_moved AFTER UPDATE OF state ON orders BEGIN
    INSERT INTO order_states (order_id, step, state, at)
    SELECT new.id, max(step) + 1, new.state, new.updated_at FROM order_states WHERE order_id = new.id;
END;
