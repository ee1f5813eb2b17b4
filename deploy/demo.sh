#!/usr/bin/env bash
# The whole thing on sample data: a warehouse, the connections that lead to it and to the simulator, and the Dag switched
# on. Refuses a deployment whose connections lead elsewhere.
set -euo pipefail
: "${DEMO_TOKEN:?DEMO_TOKEN is not set: write an .env with deploy/new-env.sh > .env}"
: "${DEMO_READER_PASSWORD:?DEMO_READER_PASSWORD is not set: write an .env with deploy/new-env.sh > .env}"

# Where a connection leads and as whom, a value a line; nothing if there is none.
place_of() {
    local found
    found=$(airflow connections get "$1" --output json 2>/dev/null) || return 0
    python -c 'import json, sys
(found,) = json.load(sys.stdin)
for part in "host", "port", "schema", "login", "password":
    print(found[part] or "")' <<<"$found"
}

# Sample sales would go to the real Webflow, or the company's own into the simulator, and both are final.
refuse_another() {
    if [ -n "$2" ] && [ "$2" != "$3" ]; then
        echo "The connection $1 is not the demo's own: give the demo volumes of its own, as docs/production.md says, and an .env" \
            "without WEBFLOW_TOKEN and WAREHOUSE_URI." >&2
        exit 1
    fi
}

warehouse=$(place_of warehouse)
webflow=$(place_of webflow_default)
refuse_another warehouse "$warehouse" "$(printf '%s\n' "$PGHOST" "$PGPORT" warehouse demo_reader "$DEMO_READER_PASSWORD")"
refuse_another webflow_default "$webflow" "$(printf '%s\n' "$DEMO_WEBFLOW_URL" "" "" 123456789 "$DEMO_TOKEN")"

python "$(dirname "$0")/sample_warehouse.py"

add_connection() { python "$(dirname "$0")/add_connection.py" "$@"; }
[ -n "$warehouse" ] ||
    add_connection warehouse '"postgres://demo_reader:$DEMO_READER_PASSWORD@$PGHOST:$PGPORT/warehouse"'
[ -n "$webflow" ] ||
    add_connection webflow_default '{"conn_type": "webflow", "host": "$DEMO_WEBFLOW_URL", "login": "123456789",
        "password": "$DEMO_TOKEN", "extra": {"allow_http": true}}'

# The Dag processor may not have read the file yet; airflow dags unpause succeeds without a Dag, too.
for _ in 1 2 3 4 5 6 7 8; do
    if airflow dags details webflow_offsite_conversions >/dev/null 2>&1; then
        exec airflow dags unpause --yes webflow_offsite_conversions
    fi
    sleep 5
done
echo "The Dag webflow_offsite_conversions did not appear: see docker compose logs airflow-dag-processor." >&2
exit 1
