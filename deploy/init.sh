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
if [ -n "${WEBFLOW_TOKEN:-}" ]; then
    airflow connections get webflow_default >/dev/null 2>&1 ||
        airflow connections add webflow_default --conn-type webflow \
            --conn-login "${WEBFLOW_CUSTOMER_ID:?WEBFLOW_TOKEN is set and WEBFLOW_CUSTOMER_ID is not: set both in .env}" \
            --conn-password "$WEBFLOW_TOKEN"
fi
if [ -n "${WAREHOUSE_URI:-}" ]; then
    airflow connections get warehouse >/dev/null 2>&1 ||
        airflow connections add warehouse --conn-uri "$WAREHOUSE_URI"
fi
