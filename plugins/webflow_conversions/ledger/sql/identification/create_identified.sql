CREATE TEMPORARY TABLE identified (
    id          bigint NOT NULL,
    user_domain text,
    user_id     text,
    reason      text,
    user_before text
) ON COMMIT DROP
