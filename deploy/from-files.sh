#!/usr/bin/env bash
# Runs a command with settings of .env.example taken from files instead of .env: each file has the name of a variable, and
# holds its value alone.
#
#     deploy/from-files.sh FOLDER docker compose up --detach
set -euo pipefail
folder=${1:?Name the folder of the files, then the command}
shift

while IFS= read -r name; do
    if [ -e "$folder/$name" ]; then
        value=$(<"$folder/$name")
        export "$name=$value"
    fi
done < <(sed -n 's/^\([A-Z_]*\)=.*/\1/p' "$(dirname "$0")/../.env.example")
exec "$@"
