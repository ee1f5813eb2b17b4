-- Conversions of a table of your own. Leave out what is unpaid, cancelled or a test with further conditions.
{% set time = "o." ~ a.plain.time %}
SELECT
    o.{{ a.plain.id }} AS conversion_id,  -- never changes
    {{ time }} AS occurred_at,
    o.{{ a.plain.key }} AS identity_key,  -- the key to the known users
    o.{{ a.plain.value }} AS value  -- optional
FROM {{ sql.table(a.plain.table) }} o
{% if a.plain.kind == "local" %}
-- A local time can be up to 14 hours away from UTC: a day more is read, and what lies outside of the window is told apart later.
WHERE {{ sql.near(time) }}
{% elif a.plain.kind == "epoch_seconds" %}
WHERE {{ sql.seconds_within(time) }}
{% elif a.plain.kind == "epoch_milliseconds" %}
WHERE {{ sql.seconds_within(time, " * 1000") }}
{% else %}
WHERE {{ sql.within(time) }}
{% endif %}
