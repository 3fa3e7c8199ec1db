-- Events that could not be read or written, kept for people to look at. With a broker between, it keeps
-- them itself.
CREATE TABLE dead_letters (
    id          TEXT PRIMARY KEY,
    body        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
