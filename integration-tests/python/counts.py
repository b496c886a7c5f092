"""Counts a tenant's events by each of the given columns, with clickhouse-connect; prints one JSON object."""

import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

import clickhouse_connect


def main() -> None:
    tenant, *groups = sys.argv[1:]
    url = urlsplit(os.environ["SEALTRAIL_CLICKHOUSE_URL"])
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    client = clickhouse_connect.get_client(
        host=url.hostname,
        port=url.port,
        username=query["user"],
        password=query["password"],
        database=query["database"],
    )
    parameters = {"tenant": tenant}
    where = "WHERE tenant_id = {tenant:String}"
    counts = {"total": client.query(f"SELECT count() FROM events {where}", parameters).result_rows[0][0]}
    for group in groups:
        rows = client.query(f"SELECT {group}, count() FROM events {where} GROUP BY 1", parameters).result_rows
        counts[group] = dict(rows)
    json.dump(counts, sys.stdout)


main()
