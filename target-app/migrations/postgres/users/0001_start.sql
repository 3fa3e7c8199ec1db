-- Who may shop. `request_key` makes a repeated registration find what the first one made.
CREATE TABLE shoppers (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    request_key   TEXT,
    created_at    BIGINT NOT NULL
);
