#!/usr/bin/env bash
# Brings a new or an upgraded deployment to where it can run; may be run again and again, and leaves alone what is there.
set -euo pipefail

airflow db migrate
# Asked for the password twice, without a terminal: an option would stand in the process list.
printf '%s\n' "$AIRFLOW_ADMIN_PASSWORD" "$AIRFLOW_ADMIN_PASSWORD" |
    setsid --wait airflow users create --role Admin --username "$AIRFLOW_ADMIN_USERNAME" \
        --email "$AIRFLOW_ADMIN_EMAIL" --firstname Airflow --lastname Admin

python -m webflow_conversions.ledger

airflow pools get webflow >/dev/null 2>&1 ||
    airflow pools set webflow "$WEBFLOW_POOL_SLOTS" "Pushes to Webflow at the same time, over all Dags and machines."

# Connections that .env names are created once; from then on they are changed under Admin > Connections.
is_there() {
    airflow connections get "$1" >/dev/null 2>&1 &&
        echo "The connection $1 is there and stays as it is: it is changed under Admin > Connections."
}
add_connection() { python "$(dirname "$0")/add_connection.py" "$@"; }
if [ -n "${WEBFLOW_TOKEN:-}" ] && ! is_there webflow_default; then
    : "${WEBFLOW_CUSTOMER_ID:?WEBFLOW_TOKEN is set and WEBFLOW_CUSTOMER_ID is not: set both in .env}"
    add_connection webflow_default '{"conn_type": "webflow", "login": "$WEBFLOW_CUSTOMER_ID", "password": "$WEBFLOW_TOKEN"}'
fi
if [ -n "${WAREHOUSE_URI:-}" ] && ! is_there warehouse; then
    add_connection warehouse '"$WAREHOUSE_URI"'
fi
