UPDATE webflow.extractions
SET ended_at = %(now)s,
    read_rows = %(read_rows)s,
    read_value = %(read_value)s,
    recorded_rows = %(recorded_rows)s,
    recorded_value = %(recorded_value)s,
    duplicate_rows = %(duplicate_rows)s,
    duplicate_value = %(duplicate_value)s,
    conflicting_rows = %(conflicting_rows)s,
    conflicting_value = %(conflicting_value)s,
    outside_rows = %(outside_rows)s,
    outside_value = %(outside_value)s,
    too_old_rows = %(too_old_rows)s,
    too_old_value = %(too_old_value)s,
    changed_after_sent_rows = %(changed_after_sent_rows)s
WHERE id = %(extraction)s
