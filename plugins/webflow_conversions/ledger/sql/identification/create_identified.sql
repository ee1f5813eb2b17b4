CREATE TEMPORARY TABLE IF NOT EXISTS identified (
    id          bigint NOT NULL,
    user_domain text,
    user_id     text,
    reason      text,
    user_before text
) ON COMMIT DELETE ROWS
