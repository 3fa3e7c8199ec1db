-- An order that was sold can be taken back, and one whose payment stays open called off.
ALTER TABLE orders DROP CONSTRAINT orders_state_check;
ALTER TABLE orders ADD CONSTRAINT orders_state_check
    CHECK (state IN ('pending', 'reserved', 'confirmed', 'cancelling', 'refunded',
                     'voiding', 'refused', 'cancelled'));
