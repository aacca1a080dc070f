-- BIGINT everywhere: SQLite reads it as INTEGER, PostgreSQL needs the width.
CREATE TABLE schema_version (
    version BIGINT NOT NULL
);
INSERT INTO schema_version (version) VALUES (1);

-- The journal. Every column is in the hash; seq is made of the chain and the
-- position, see chain_head.
CREATE TABLE record (
    seq {key},
    root_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    plan_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    body TEXT NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
);
-- Holds kind so that counting a plan's outcomes reads the index only.
CREATE INDEX record_call ON record (plan_id, call_id, kind);
-- Partial: they cost nothing to the rows that calls write.
CREATE INDEX record_violation ON record (root_id) WHERE kind = 'violation';
CREATE INDEX record_question ON record (root_id) WHERE kind = 'approval_requested';

CREATE TABLE plan (
    plan_id TEXT NOT NULL PRIMARY KEY,
    parent_plan_id TEXT,
    root_id TEXT NOT NULL,
    depth BIGINT NOT NULL,
    name TEXT NOT NULL,
    phase TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    safety_profile TEXT NOT NULL,
    profile_digest TEXT NOT NULL,
    automation_profile TEXT NOT NULL,
    isolation_tier TEXT NOT NULL,
    isolation_verified BIGINT NOT NULL,
    workspace_dir TEXT NOT NULL,
    session_id TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    elapsed_ms BIGINT NOT NULL,
    definition_digest TEXT NOT NULL,
    detail TEXT NOT NULL,
    cancel_requested BIGINT NOT NULL
);
CREATE INDEX plan_root ON plan (root_id);
CREATE INDEX plan_parent ON plan (parent_plan_id) WHERE parent_plan_id IS NOT NULL;
CREATE INDEX plan_session ON plan (session_id) WHERE session_id <> '';

CREATE TABLE owner (
    root_id TEXT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    pid BIGINT NOT NULL,
    host TEXT NOT NULL,
    started TEXT NOT NULL,
    seal BIGINT NOT NULL
);

-- Clustered: a holding changes these with every call, and each page that it does
-- not touch is one that its commit does not write.
CREATE TABLE account (
    name TEXT NOT NULL PRIMARY KEY,
    limit_cost BIGINT,
    limit_tokens BIGINT,
    limit_requests BIGINT,
    limit_tool_calls BIGINT,
    limit_ms BIGINT,
    spent_cost BIGINT NOT NULL DEFAULT 0,
    spent_input BIGINT NOT NULL DEFAULT 0,
    spent_output BIGINT NOT NULL DEFAULT 0,
    spent_requests BIGINT NOT NULL DEFAULT 0,
    spent_tool_calls BIGINT NOT NULL DEFAULT 0,
    spent_ms BIGINT NOT NULL DEFAULT 0,
    held_cost BIGINT NOT NULL DEFAULT 0,
    held_input BIGINT NOT NULL DEFAULT 0,
    held_output BIGINT NOT NULL DEFAULT 0,
    held_requests BIGINT NOT NULL DEFAULT 0,
    held_tool_calls BIGINT NOT NULL DEFAULT 0,
    held_ms BIGINT NOT NULL DEFAULT 0,
    seal BIGINT NOT NULL
){clustered};

CREATE TABLE reservation (
    id TEXT NOT NULL PRIMARY KEY,
    plan_id TEXT NOT NULL,
    chain TEXT NOT NULL,
    cost BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    tool_calls BIGINT NOT NULL,
    ms BIGINT NOT NULL
);
CREATE INDEX reservation_plan ON reservation (plan_id);
