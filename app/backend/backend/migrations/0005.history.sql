-- How the services were, as the monitor told it last: one row. Releases that know no more than 0004 leave it as it is.
SET LOCAL lock_timeout = '1s';
CREATE TABLE backend.history (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    until timestamptz NOT NULL,
    step integer NOT NULL,
    services jsonb NOT NULL
);
