CREATE TEMPORARY TABLE judged (
    id                    bigint NOT NULL,
    was                   text,
    attribution           text NOT NULL,
    attribution_reason    text,
    visit_id              text,
    visit                 jsonb,
    minutes_from_activity integer,
    state                 text,
    reason                text,
    user_domain           text,
    user_id               text
) ON COMMIT DROP
