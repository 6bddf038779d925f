CREATE TABLE IF NOT EXISTS mobile.events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id uuid NOT NULL REFERENCES mobile.devices ON DELETE CASCADE,
    id text NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    -- json, not jsonb: kept as the client wrote it, and nothing here looks inside.
    data json NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (device_id, id)
);

CREATE INDEX IF NOT EXISTS events_by_device ON mobile.events (device_id, position);
