{% if a.system == "plain" %}
-- Whom the site made known with wf.setUserId(user_domain, user_id), to the letter, by the key that the conversions carry.
SELECT
    u.identity_key,
    u.user_domain,
    u.user_id,
    u.identified_at
FROM {{ sql.table(a.plain.known_users) }} u
WHERE u.identity_key IN :identity_keys{{ "" if a.dialect == "postgresql" else "  -- if it holds numbers: " ~ sql.text("u.identity_key") }}
{% else %}
-- Whom the site made known, by the ID of the {{ system.people }}. This is right if the site calls, for everybody who logs in or follows
-- a link of yours: wf.setUserId({{ a.user_domain | literal }}, '<ID of the {{ system.people }} in {{ system.title }}>')
-- If it gives Webflow another ID, return that one as user_id, from a table that has both. If you record who was made known and
-- when, read that table instead: identified_at decides between several users of one {{ system.people }}.
    {% if a.loader == "own" %}
        {% set people, id, deleted = "wp_users", "ID", None %}
    {% elif is_fivetran %}
        {% set people = system.people %}
        {% set id = "id" %}
        {% set deleted = {"stripe": "is_deleted", "salesforce": "is_deleted", "hubspot": "_fivetran_deleted"}.get(a.system) %}
    {% elif a.system == "salesforce" %}
        {% set people, id, deleted = "Contact", sql.name("Id"), sql.name("IsDeleted") %}
    {% else %}
        {% set people, id, deleted = system.people ~ "s", "id", {"hubspot": "archived"}.get(a.system) %}
    {% endif %}
    {% set is_text = a.system in ("stripe", "salesforce") or (a.system, a.loader) == ("hubspot", "airbyte") %}
    {# PostgreSQL compares a number with the keys by itself, and can use its index. #}
    {% set key = "u." ~ id if is_text or a.dialect == "postgresql" else sql.text("u." ~ id) %}
SELECT
    {{ key }} AS identity_key,
    {{ a.user_domain | literal }} AS user_domain,
    {{ key }} AS user_id,
    CAST(NULL AS {{ dialect.moment }}) AS identified_at
FROM {{ sql.table(people) }} u
WHERE {{ key }} IN :identity_keys
    {% if deleted %}
    AND {{ sql.no("u." ~ deleted) }}
    {% endif %}
{% endif %}
