-- What is for sale. Prices are hundredths of the currency.
CREATE TABLE products (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    category    TEXT NOT NULL,
    description TEXT NOT NULL,
    price       INTEGER NOT NULL CHECK (price > 0)
) STRICT;

-- Words of names and categories, for the search. The text itself stays in `products`.
CREATE VIRTUAL TABLE product_words USING fts5 (
    name, category, content = 'products', content_rowid = 'number', prefix = '2 3 4'
);

-- Apart from the products, so that selling rewrites small rows. `initial` never changes, so that
-- initial = available + what is reserved can be checked at any time.
CREATE TABLE stock (
    product_id TEXT PRIMARY KEY,
    initial    INTEGER NOT NULL,
    available  INTEGER NOT NULL CHECK (available >= 0)
) STRICT, WITHOUT ROWID;

-- One row for each order that ever asked, with the answer it got for good.
CREATE TABLE reservations (
    order_id   TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('reserved', 'refused', 'released')),
    reason     TEXT,
    amount     INTEGER NOT NULL,
    lines      TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
