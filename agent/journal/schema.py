"""The journal's tables. Instants (`_at`) are Unix seconds by this host's clock.

`ends` is a reading of the boot clock (seconds, CLOCK_BOOTTIME) of the boot that `identity` names: a stepped clock
neither lengthens nor ends a block. After a reboot `times.resume` moves every one of them, once.
"""

from shared import outbox

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    journal TEXT NOT NULL,              -- made with the file; another one means that it was lost
    boot TEXT NOT NULL,                 -- the boot that `ends` and `boot_clock` belong to
    boot_clock REAL NOT NULL,           -- both clocks, read together at the last commit
    wall_at REAL NOT NULL,
    caught_up INTEGER NOT NULL DEFAULT 0 -- 1: a manager has sent everything that is in force for this agent
);

-- Every order that was taken, until its deadline and a day: a repeat of its id gets the same answer again.
CREATE TABLE IF NOT EXISTS orders (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,                 -- msgpack; without its alert, unless a slow action still wants it
    named TEXT NOT NULL,                -- the action, as the order says it
    action TEXT NOT NULL,               -- the same, by the one name that it has on this host
    target TEXT NOT NULL,
    key TEXT NOT NULL,                  -- of the effect that it is to hold; empty for a delete
    slow INTEGER NOT NULL DEFAULT 0,    -- 1: of an action that takes its time, or it lifts one that is
    started_at REAL,                    -- a slow action was about to be started for it
    ends REAL,                          -- when its hold is over; null: when it is lifted
    received_at REAL NOT NULL,
    received_boot REAL NOT NULL,        -- the boot clock then, to measure with
    forget_at REAL NOT NULL,
    status TEXT,                        -- the answer; null: taken, and not carried out yet
    detail TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,
    settled_at REAL,
    expires_at REAL,                    -- the effect's end after this order
    ended_at REAL,                      -- its expiry event, once it no longer holds
    cause TEXT,
    outcome TEXT,
    ended_detail TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS orders_taken ON orders (seq) WHERE status IS NULL AND slow = 0;
CREATE INDEX IF NOT EXISTS orders_slow ON orders (action, seq) WHERE status IS NULL AND slow = 1;
CREATE INDEX IF NOT EXISTS orders_slow_deletes ON orders (seq) WHERE status IS NULL AND slow = 1 AND key = '';
CREATE INDEX IF NOT EXISTS orders_coming ON orders (key) WHERE status IS NULL;
CREATE INDEX IF NOT EXISTS orders_by_age ON orders (forget_at);

CREATE TABLE IF NOT EXISTS effects (
    action TEXT NOT NULL,
    key TEXT NOT NULL,
    target TEXT NOT NULL,
    arguments TEXT NOT NULL,            -- JSON list
    since_at REAL NOT NULL,
    suspect INTEGER NOT NULL DEFAULT 0, -- 1: it may be what cuts this host off from its broker, and is tested
    slow INTEGER NOT NULL DEFAULT 0,    -- 1: of an action that takes its time; then also
    body BLOB,                          -- of the order that put it in force
    boot TEXT,                          -- the boot in which it was put in force last
    length INTEGER GENERATED ALWAYS AS  -- of a network its prefix's
        (CASE WHEN key LIKE '%/%' THEN CAST(substr(key, instr(key, '/') + 1) AS INTEGER) END) VIRTUAL,
    PRIMARY KEY (action, key)           -- an effect without a holder is one whose revert failed: it is tried again
);
CREATE INDEX IF NOT EXISTS effects_slow ON effects (action, key) WHERE slow = 1;
CREATE INDEX IF NOT EXISTS effects_by_length ON effects (action, length) WHERE length IS NOT NULL;

CREATE TABLE IF NOT EXISTS holders (
    order_id TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    key TEXT NOT NULL,
    ends REAL,                          -- null: until lifted
    expires_at REAL,                    -- as the order says it: what the fingerprint goes by
    exempt INTEGER NOT NULL,            -- this host's own allowlist does not apply
    slow INTEGER NOT NULL DEFAULT 0,    -- 1: of an action that takes its time
    counted INTEGER NOT NULL DEFAULT 1, -- 0: managers know it as a one-shot: no fingerprint counts it
    lifted INTEGER NOT NULL DEFAULT 0,  -- 1: somebody ended it, and it is still to be reverted
    adopted INTEGER NOT NULL DEFAULT 0  -- 1: found in force at a start, and held by no order
);
CREATE INDEX IF NOT EXISTS holders_by_effect ON holders (action, key);
CREATE INDEX IF NOT EXISTS holders_by_end ON holders (slow, ends);
CREATE INDEX IF NOT EXISTS holders_lifted ON holders (order_id) WHERE lifted = 1;
CREATE INDEX IF NOT EXISTS holders_adopted ON holders (order_id) WHERE adopted = 1;

-- Ids that were lifted, known here or not: an `add` that comes later is never applied.
CREATE TABLE IF NOT EXISTS tombstones (
    order_id TEXT PRIMARY KEY,
    forget_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS tombstones_by_age ON tombstones (forget_at);

-- What has carried actions out here: one that doesn't any more may still have something in force.
CREATE TABLE IF NOT EXISTS backends (
    action TEXT NOT NULL,
    backend TEXT NOT NULL,
    used INTEGER NOT NULL,              -- 0: before this journal began, perhaps
    PRIMARY KEY (action, backend)
);

-- The managers' allowlist, the latest that came.
CREATE TABLE IF NOT EXISTS policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    body BLOB NOT NULL                  -- its message, msgpack
);
"""
    + outbox.SCHEMA
)
