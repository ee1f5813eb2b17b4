#!/usr/bin/env bash
# Brings a new or an upgraded deployment to where it can run; may be run again and again, and leaves alone what is there.
set -euo pipefail

airflow db migrate
airflow users create --role Admin --username "$AIRFLOW_ADMIN_USERNAME" --password "$AIRFLOW_ADMIN_PASSWORD" \
    --email "$AIRFLOW_ADMIN_EMAIL" --firstname Airflow --lastname Admin

python -m webflow_conversions.ledger

airflow pools get webflow >/dev/null 2>&1 ||
    airflow pools set webflow "$WEBFLOW_POOL_SLOTS" "Pushes to Webflow at the same time, over all Dags and machines."

# Connections that .env names are created once; from then on they are changed under Admin > Connections.
is_there() {
    airflow connections get "$1" >/dev/null 2>&1 &&
        echo "The connection $1 is there and stays as it is: it is changed under Admin > Connections."
}
if [ -n "${WEBFLOW_TOKEN:-}" ] && ! is_there webflow_default; then
    airflow connections add webflow_default --conn-type webflow \
        --conn-login "${WEBFLOW_CUSTOMER_ID:?WEBFLOW_TOKEN is set and WEBFLOW_CUSTOMER_ID is not: set both in .env}" \
        --conn-password "$WEBFLOW_TOKEN"
fi
if [ -n "${WAREHOUSE_URI:-}" ] && ! is_there warehouse; then
    airflow connections add warehouse --conn-uri "$WAREHOUSE_URI"
fi
