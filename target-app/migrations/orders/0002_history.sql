-- Every state an order ever had, in order. Written by the database itself, so that no state can be
-- changed without a trace.
CREATE TABLE order_states (
    order_id TEXT NOT NULL,
    step     INTEGER NOT NULL,
    state    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (order_id, step)
) STRICT, WITHOUT ROWID;

-- Of orders older than this table only the present state is known.
INSERT INTO order_states (order_id, step, state, at) SELECT id, 1, state, updated_at FROM orders;

CREATE TRIGGER order_made AFTER INSERT ON orders BEGIN
    INSERT INTO order_states (order_id, step, state, at) VALUES (new.id, 1, new.state, new.created_at);
END;

CREATE TRIGGER order_moved AFTER UPDATE OF state ON orders BEGIN
    INSERT INTO order_states (order_id, step, state, at)
    SELECT new.id, max(step) + 1, new.state, new.updated_at FROM order_states WHERE order_id = new.id;
END;
