-- The first two can run twice: tables from before the state was recorded are there already.
CREATE TABLE IF NOT EXISTS backend.deployments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    version text NOT NULL,
    status text NOT NULL CHECK (status IN ('started', 'succeeded', 'failed', 'rolled_back')),
    deployed_by text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz CHECK (finished_at >= started_at),
    note text NOT NULL
);

CREATE INDEX IF NOT EXISTS deployments_newest_first ON backend.deployments (started_at DESC, id DESC);
