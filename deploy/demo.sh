#!/usr/bin/env bash
# The whole thing on sample data: a warehouse, the connections that lead to it and to the simulator where there are none
# yet, and the Dag switched on.
set -euo pipefail
: "${DEMO_TOKEN:?DEMO_TOKEN is not set: write an .env with deploy/new-env.sh > .env}"
: "${DEMO_READER_PASSWORD:?DEMO_READER_PASSWORD is not set: write an .env with deploy/new-env.sh > .env}"

python "$(dirname "$0")/sample_warehouse.py"

airflow connections get warehouse >/dev/null 2>&1 ||
    airflow connections add warehouse --conn-uri "postgres://demo_reader:$DEMO_READER_PASSWORD@$PGHOST:$PGPORT/warehouse"
airflow connections get webflow_default >/dev/null 2>&1 ||
    airflow connections add webflow_default --conn-type webflow --conn-host "$DEMO_WEBFLOW_URL" \
        --conn-login 123456789 --conn-password "$DEMO_TOKEN"

# The Dag processor may not have read the file yet.
for _ in 1 2 3 4 5 6 7 8; do
    airflow dags unpause --yes webflow_offsite_conversions && exit
    sleep 5
done
echo "The Dag webflow_offsite_conversions did not appear: see docker compose logs airflow-dag-processor." >&2
exit 1
