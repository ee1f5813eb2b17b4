#!/usr/bin/env bash
# Writes an .env with new passwords and keys, from .env.example:   deploy/new-env.sh > .env
set -euo pipefail

while IFS= read -r line; do
    case $line in
        AIRFLOW_FERNET_KEY=) echo "$line$(openssl rand -base64 32 | tr '+/' '-_')" ;;
        *_PASSWORD= | *_KEY= | *_SECRET= | DEMO_TOKEN=) echo "$line$(openssl rand -hex 24)" ;;
        *) echo "$line" ;;
    esac
done <"$(dirname "$0")/../.env.example"
