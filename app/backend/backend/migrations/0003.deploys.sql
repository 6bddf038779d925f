-- What a deploy is known by, and what it brought. Releases that know no more than 0002 leave these as they are.
-- Who reads for long makes this fail soon, to be tried again: nobody else waits behind it meanwhile.
SET LOCAL lock_timeout = '1s';
ALTER TABLE backend.deployments
    ADD COLUMN deploy_id text UNIQUE,
    ADD COLUMN services text[] NOT NULL DEFAULT '{}',
    ADD COLUMN commit text NOT NULL DEFAULT '',
    ADD COLUMN release text NOT NULL DEFAULT '',
    ADD COLUMN tickets text[] NOT NULL DEFAULT '{}';
