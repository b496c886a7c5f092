"""Reads what a tenant's analyst sees, with clickhouse-connect over HTTP and with clickhouse-driver over the native
protocol, and tries to write. Takes the native port; prints one JSON object: for each client the counts by tenant of each
table, and ClickHouse's error code for each statement that must be refused."""

import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

import clickhouse_connect
import clickhouse_driver
from clickhouse_connect.driver.exceptions import DatabaseError

TABLES = ["audit_events", "events", "duplicates"]
WRITES = [
    "INSERT INTO events (tenant_id) VALUES ('x')",
    "CREATE TABLE mine (x Int8) ENGINE = Memory",
    "ALTER TABLE events DELETE WHERE 1",
    "DROP TABLE events",
    "SET readonly = 0",
]


def counts(query) -> dict:
    by_tenant = "SELECT tenant_id, count() FROM {} GROUP BY tenant_id"
    return {table: dict(query(by_tenant.format(table))) for table in TABLES}


def by_http(url, login: dict) -> dict:
    client = clickhouse_connect.get_client(
        host=url.hostname,
        port=url.port,
        username=login["user"],
        password=login["password"],
        database=login["database"],
    )

    def refused(statement: str) -> int:
        try:
            client.command(statement)
        except DatabaseError as error:
            return error.code
        return 0

    seen = counts(lambda sql: client.query(sql).result_rows)
    # a parameter, and a setting that may be lowered
    own = client.query(
        "SELECT count() FROM audit_events WHERE actor_id = {actor:String}",
        parameters={"actor": "actor-1"},
        settings={"max_execution_time": 5},
    )
    return {"seen": seen, "actor-1": own.result_rows[0][0], "refused": [refused(s) for s in WRITES]}


def by_native(url, login: dict, port: int) -> dict:
    client = clickhouse_driver.Client(url.hostname, port=port, **login)

    def refused(statement: str) -> int:
        try:
            client.execute(statement)
        except clickhouse_driver.errors.ServerException as error:
            return error.code
        return 0

    seen = counts(client.execute)
    own = client.execute(
        "SELECT count() FROM audit_events WHERE actor_id = %(actor)s",
        {"actor": "actor-1"},
        settings={"max_execution_time": 5},
    )
    return {"seen": seen, "actor-1": own[0][0], "refused": [refused(s) for s in WRITES]}


def main() -> None:
    url = urlsplit(os.environ["SEALTRAIL_ANALYST_URL"])
    login = {key: values[0] for key, values in parse_qs(url.query).items()}
    json.dump({"http": by_http(url, login), "native": by_native(url, login, int(sys.argv[1]))}, sys.stdout)


main()
