-- The first two can run twice: tables from before the state was recorded are there already.
CREATE TABLE IF NOT EXISTS mobile.devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Both are SHA-256: who can read this table can still not speak for a device.
    installation_hash bytea NOT NULL UNIQUE,
    token_hash bytea NOT NULL UNIQUE,
    name text NOT NULL,
    platform text NOT NULL,
    architecture text NOT NULL,
    version text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now()
);
