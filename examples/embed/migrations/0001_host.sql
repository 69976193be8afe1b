-- The app's own tables, from before it sold anything. Some are named like the engine's.

CREATE TABLE users (
    id      TEXT NOT NULL PRIMARY KEY,
    email   TEXT NOT NULL UNIQUE,
    session TEXT UNIQUE
);

CREATE TABLE account (
    code    TEXT NOT NULL PRIMARY KEY,
    balance INTEGER NOT NULL
);

CREATE TABLE invoice (
    number TEXT NOT NULL PRIMARY KEY,
    text   TEXT NOT NULL
);

INSERT INTO users (id, email) VALUES ('1', 'ada@example.com'), ('2', 'bob@example.com');
INSERT INTO account (code, balance) VALUES ('4400', 1200);
INSERT INTO invoice (number, text) VALUES ('2026-1', 'An invoice that this app wrote itself.');
