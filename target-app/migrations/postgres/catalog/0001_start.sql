-- What is for sale. Prices are hundredths of the currency.
CREATE TABLE products (
    number      BIGINT PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    category    TEXT NOT NULL,
    description TEXT NOT NULL,
    price       BIGINT NOT NULL CHECK (price > 0),
    -- Words of names and categories, for the search; `simple` keeps them as they are, in lower case.
    words       TSVECTOR NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', name || ' ' || category)) STORED
);

CREATE INDEX products_by_words ON products USING gin (words);

-- Apart from the products, so that selling rewrites small rows. `initial` never changes, so that
-- initial = available + what is reserved can be checked at any time. Pages are left half empty, so that
-- a new version of a row stands beside the old one and no index is touched.
CREATE TABLE stock (
    product_id TEXT PRIMARY KEY,
    initial    BIGINT NOT NULL,
    available  BIGINT NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 50);

-- One row for each order that ever asked, with the answer it got for good.
CREATE TABLE reservations (
    order_id   TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('reserved', 'refused', 'released')),
    reason     TEXT,
    amount     BIGINT NOT NULL,
    lines      TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
