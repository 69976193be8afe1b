-- A row that is written to find out whether the database can be written to.

CREATE TABLE write_probe (
    id     BIGINT NOT NULL PRIMARY KEY,
    writes BIGINT NOT NULL
);
