-- Whom the site made known with wf.setUserId(user_domain, user_id), to the letter, by the key that sales and deals carry.
SELECT
    person.identity_key,
    person.user_domain,
    person.user_id,
    person.identified_at
FROM site_users person
WHERE person.identity_key IN :identity_keys
