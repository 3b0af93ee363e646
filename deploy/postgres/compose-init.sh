#!/usr/bin/env bash
# For compose.yaml: what PostgreSQL's image runs once, when its volume is empty. A role and a database for each service, which
# reaches no other; their passwords come from the environment.
set -euo pipefail
for role in channel_gateway conversation crm_cards assignment; do
  variable="SWITCHBOARD_${role^^}_PASSWORD"
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set role="$role" --set database="switchboard_$role" --set password="${!variable:?is not set: run deploy/compose-secrets}" <<'SQL'
create role :"role" login password :'password';
create database :"database" owner :"role" encoding 'UTF8';
revoke connect, temporary on database :"database" from public;
SQL
done
