-- Every state an order ever had, in order. Written by the database itself, so that no state can be
-- changed without a trace.
CREATE TABLE order_states (
    order_id TEXT NOT NULL,
    step     BIGINT NOT NULL,
    state    TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (order_id, step)
);

CREATE FUNCTION write_order_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever moves an order holds its row, so nobody counts the same step.
    INSERT INTO order_states (order_id, step, state, at)
    SELECT new.id, coalesce(max(step), 0) + 1, new.state, new.updated_at
    FROM order_states WHERE order_id = new.id;
    RETURN NULL;
END $$;

CREATE TRIGGER order_made AFTER INSERT ON orders
    FOR EACH ROW EXECUTE FUNCTION write_order_state();
CREATE TRIGGER order_moved AFTER UPDATE OF state ON orders
    FOR EACH ROW EXECUTE FUNCTION write_order_state();
