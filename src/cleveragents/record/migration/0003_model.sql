-- What each model was used for, added up per day and plan beside the spending.
CREATE TABLE model_spending (
    day TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    model TEXT NOT NULL,
    session_id TEXT NOT NULL,
    cost BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    output BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (day, plan_id, model)
);
CREATE INDEX model_spending_plan ON model_spending (plan_id);

UPDATE schema_version SET version = 3;
