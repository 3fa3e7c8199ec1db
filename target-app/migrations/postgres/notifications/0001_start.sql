-- One row for each event heard of, however often it was sent.
CREATE TABLE notifications (
    event_id    TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    order_id    TEXT NOT NULL,
    shopper_id  TEXT NOT NULL,
    payload     TEXT NOT NULL,
    received_at BIGINT NOT NULL
);

CREATE INDEX notifications_by_order ON notifications (order_id);
