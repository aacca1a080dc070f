-- Sessions: plans that share one limit. A directory's own one is found by its path.
CREATE TABLE session (
    session_id TEXT NOT NULL PRIMARY KEY,
    workspace_dir TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE UNIQUE INDEX session_workspace ON session (workspace_dir) WHERE workspace_dir <> '';

-- What was spent, added up per day and plan as it is settled: reports grow with
-- their answer and not with the record.
CREATE TABLE spending (
    day TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    cost BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    tool_calls BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    PRIMARY KEY (day, plan_id)
);
CREATE INDEX spending_plan ON spending (plan_id);
CREATE INDEX spending_session ON spending (session_id);

UPDATE schema_version SET version = 2;
