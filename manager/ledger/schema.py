"""The ledger's tables: what was seen, what was ordered, who said what. SQL that SQLite and PostgreSQL share.

Instants are Unix seconds by the manager's clock unless a column says otherwise. `until` is never null, so that one
index range finds what still matters: FOREVER stands for "until lifted".
"""

from shared import outbox
from shared.messages import LATEST

FOREVER = LATEST

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS agents (
    id TEXT PRIMARY KEY,
    heartbeat BLOB NOT NULL,            -- the latest one that was written down, msgpack
    first_seen_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    gone_at REAL                        -- nothing is expected of it from then on
);

CREATE TABLE IF NOT EXISTS alerts (
    id TEXT PRIMARY KEY,
    rule_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    at REAL NOT NULL,                   -- its last line's own instant
    recorded_at REAL NOT NULL,
    late INTEGER NOT NULL,              -- 1: too old when it came, so it ordered nothing
    body BLOB NOT NULL                  -- JSON, Wazuh's shape
);
CREATE INDEX IF NOT EXISTS alerts_by_age ON alerts (recorded_at);

CREATE TABLE IF NOT EXISTS refusals (
    alert_id TEXT NOT NULL,
    response TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,               -- a closed word: protected, invalid-target, ...
    detail TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (alert_id, response)
);
CREATE INDEX IF NOT EXISTS refusals_by_age ON refusals (at);

CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    origin TEXT NOT NULL,               -- the alert's id, a person's request id, or `foreign`: another correlator's
    response TEXT NOT NULL,             -- identity of the response; empty when a person gave the order
    operation TEXT NOT NULL,
    action TEXT NOT NULL,
    location TEXT NOT NULL,
    target TEXT NOT NULL,
    dry_run INTEGER NOT NULL,
    lasting INTEGER NOT NULL,           -- an `add` whose effect is held and ends
    is_foreign INTEGER NOT NULL,        -- known from answers alone
    issued_at REAL NOT NULL,
    deadline REAL NOT NULL,
    until REAL NOT NULL,                -- when it stops to matter: the effect's end, or FOREVER
    sent_at REAL,                       -- when the broker confirmed it
    lifted_by TEXT,                     -- the `delete` that names it
    phase TEXT NOT NULL DEFAULT 'released', -- or on-hold, not-approved, lifted: then no agent has been sent it
    hold TEXT NOT NULL DEFAULT '',      -- why it is on hold, or was: breaker, approval, paused
    held_at REAL,                       -- on hold from then on
    hold_note TEXT NOT NULL DEFAULT '', -- what became of that, and by whom
    body BLOB NOT NULL                  -- the order as it is sent, msgpack
);
CREATE INDEX IF NOT EXISTS orders_by_origin ON orders (origin);
CREATE INDEX IF NOT EXISTS orders_by_target ON orders (target, until);
CREATE INDEX IF NOT EXISTS orders_by_age ON orders (issued_at, id);
CREATE INDEX IF NOT EXISTS orders_by_end ON orders (until);
CREATE INDEX IF NOT EXISTS orders_that_lift ON orders (until) WHERE operation = 'delete';
CREATE INDEX IF NOT EXISTS orders_on_hold ON orders (held_at, id) WHERE phase = 'on-hold';
CREATE INDEX IF NOT EXISTS orders_on_hold_why ON orders (hold, response) WHERE phase = 'on-hold';

-- What an order that is on hold counts as once it is released.
CREATE TABLE IF NOT EXISTS held_offences (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    response TEXT NOT NULL,
    offence INTEGER NOT NULL,
    PRIMARY KEY (order_id, response)
);

-- One row for each agent that an order is for. Three voices speak in it, each in columns of its own, so that they
-- may come in any order: what the manager thinks, what the agent answered, how the effect ended. `state` is derived.
CREATE TABLE IF NOT EXISTS order_agents (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    since REAL NOT NULL,                -- expected from then on, or last sent
    deadline REAL NOT NULL,
    until REAL NOT NULL,
    note TEXT NOT NULL,                 -- the manager's reason for a state that is no answer
    status TEXT,
    weight INTEGER,                     -- decides between answers of one instant
    detail TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,
    received_at REAL,                   -- the agent's clock, as are the next two
    settled_at REAL,
    expires_at REAL,
    answered_at REAL,                   -- when the first answer came, the manager's clock
    ended_at REAL,                      -- the agent's clock
    cause TEXT,
    outcome TEXT,
    ended_detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (order_id, agent_id)
);
-- One for all that is asked of an agent: an order for a hundred agents writes a hundred pages of each index like this.
CREATE INDEX IF NOT EXISTS order_agents_standing ON order_agents (agent_id, state, until, since, order_id);
CREATE INDEX IF NOT EXISTS order_agents_due ON order_agents (deadline) WHERE state = 'waiting';

-- Everything that agents said about orders, once each, also what settled nothing.
CREATE TABLE IF NOT EXISTS history (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    said_at REAL NOT NULL,              -- the agent's clock
    kind TEXT NOT NULL,                 -- acknowledgement, expiry
    word TEXT NOT NULL,                 -- its status or outcome
    detail TEXT NOT NULL,
    cause TEXT NOT NULL,
    exit_code INTEGER,
    received_at REAL,
    expires_at REAL,
    recorded_at REAL NOT NULL,
    PRIMARY KEY (order_id, agent_id, said_at, kind, word, detail)
);

CREATE TABLE IF NOT EXISTS offenders (
    response TEXT NOT NULL,
    target TEXT NOT NULL,
    offence INTEGER NOT NULL,
    ends_at REAL NOT NULL,              -- of the last block, or FOREVER
    PRIMARY KEY (response, target)
);
CREATE INDEX IF NOT EXISTS offenders_by_end ON offenders (ends_at);
CREATE INDEX IF NOT EXISTS offenders_by_target ON offenders (target);

CREATE TABLE IF NOT EXISTS breaker_targets (
    response TEXT NOT NULL,
    target TEXT NOT NULL,               -- a new one, let through; a one-shot's order instead
    at REAL NOT NULL,
    PRIMARY KEY (response, target)
);
CREATE TABLE IF NOT EXISTS breakers (   -- that have tripped
    response TEXT PRIMARY KEY,
    tripped_at REAL NOT NULL,
    last_at REAL NOT NULL               -- when something was over the limit the last time
);

CREATE TABLE IF NOT EXISTS pause (      -- one row while the manager is paused
    id INTEGER PRIMARY KEY CHECK (id = 1),
    since REAL NOT NULL,
    issuer TEXT NOT NULL,
    reason TEXT NOT NULL
);

-- The allowlist: what people put on it (a file's entries are in the file), and what agents were told last.
CREATE TABLE IF NOT EXISTS allowed (
    network TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    issuer TEXT NOT NULL,
    added_at REAL NOT NULL,
    until REAL NOT NULL                 -- off the list from then on, or FOREVER
);
CREATE TABLE IF NOT EXISTS policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    body BLOB NOT NULL                  -- msgpack
);

-- What could not be taken. Nothing depends on it.
CREATE TABLE IF NOT EXISTS dead_letters (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    reason TEXT NOT NULL,               -- a closed word
    detail TEXT NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sender TEXT NOT NULL,               -- the login
    died_in TEXT NOT NULL,              -- the queue that it was taken off
    size INTEGER NOT NULL,
    body BLOB NOT NULL                  -- its beginning
);
CREATE INDEX IF NOT EXISTS dead_letters_by_reason ON dead_letters (reason, seq);
CREATE INDEX IF NOT EXISTS dead_letters_by_age ON dead_letters (at);

CREATE TABLE IF NOT EXISTS positions (
    agent_id TEXT NOT NULL,
    source TEXT NOT NULL,
    file TEXT NOT NULL,                 -- identity of the file
    position INTEGER NOT NULL,          -- offset of the last line that was taken
    updated_at REAL NOT NULL,
    PRIMARY KEY (agent_id, source, file)
);
CREATE INDEX IF NOT EXISTS positions_by_age ON positions (updated_at);
"""
    + outbox.SCHEMA
    + """
CREATE INDEX IF NOT EXISTS outbox_by_message ON outbox (message_id); -- what is unsent of an order that is lifted
"""
)
