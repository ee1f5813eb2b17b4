CREATE TEMPORARY TABLE staged (
    action_id           text COLLATE "C" NOT NULL,
    event_name          text,
    conversion_id       text,
    action_timestamp_ms bigint,
    value               numeric(15, 2),
    identity_key        text,
    user_domain         text,
    user_id             text,
    state               text NOT NULL,
    reason              text,
    detail              text,
    alike               integer NOT NULL,
    rank                smallint NOT NULL,
    beside              text
) ON COMMIT DROP
