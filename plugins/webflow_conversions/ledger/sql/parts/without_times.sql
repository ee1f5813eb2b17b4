-- What stays of the visit of a conversion (c) when its person goes: the readings that credit it, which the read-back counts by.
CASE WHEN c.visit ? 'readings' THEN jsonb_build_object('readings', c.visit -> 'readings') END
