CREATE TABLE IF NOT EXISTS backend.devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('edge', 'mobile')),
    architecture text NOT NULL,
    address text,
    version text NOT NULL,
    last_seen timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS devices_newest_first ON backend.devices (last_seen DESC);
