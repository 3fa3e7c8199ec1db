-- The tables of the SQLite script of the same number.
ALTER TABLE shoppers ADD COLUMN scope TEXT NOT NULL DEFAULT 'shop';

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    shopper_id   TEXT NOT NULL,
    token_hash   TEXT NOT NULL,
    spent_hash   TEXT,
    spent_key    TEXT,
    spent_at     BIGINT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE INDEX sessions_by_shopper ON sessions (shopper_id, created_at);
