-- How a device is, as far as it says so. Releases that know no more than 0003 leave these as they are.
SET LOCAL lock_timeout = '1s';
ALTER TABLE backend.devices
    ADD COLUMN release text NOT NULL DEFAULT '',
    ADD COLUMN uptime bigint,
    ADD COLUMN disk_used smallint,
    ADD COLUMN temperature real;
