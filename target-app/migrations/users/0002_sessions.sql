-- What a shopper may do: words with blanks between them, copied into each access token.
ALTER TABLE shoppers ADD COLUMN scope TEXT NOT NULL DEFAULT 'shop';

-- One row for each log-in that can still be prolonged. Refresh tokens are kept only as SHA-256 hashes: the
-- one that is good now, and the one before it with the key of the request that used it up, so that a
-- repetition of that request is told from a theft.
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    shopper_id   TEXT NOT NULL,
    token_hash   TEXT NOT NULL,
    spent_hash   TEXT,
    spent_key    TEXT,
    spent_at     INTEGER,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_shopper ON sessions (shopper_id, created_at);
