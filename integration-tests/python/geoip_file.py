"""Writes a GeoIP file with mmdb_writer, which is not ours. Takes the path; reads from standard input one JSON object
with `database_type` and `networks`, a map from networks to records. The file is moved into place, as an updater does."""

import json
import os
import sys

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def main() -> None:
    path = sys.argv[1]
    wanted = json.load(sys.stdin)
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=wanted["database_type"], languages=["en"])
    for network, record in wanted["networks"].items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(path + ".new")
    os.replace(path + ".new", path)


main()
