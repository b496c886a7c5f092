"""Checks docker-compose.yml, the Dockerfile and deploy/ against the programs and files of this tree, without a container
engine: `check.py CHECK…`. Prints each fault and exits with 1."""

import sys

from build import clean_copy, dockerfile
from compose import files, order, ports, schema, settings
from images import images, kafka

CHECKS = [schema, settings, ports, files, order, images, kafka, dockerfile, clean_copy]


def main() -> int:
    wanted = sys.argv[1:] or [check.__name__ for check in CHECKS]
    found = [fault for check in CHECKS if check.__name__ in wanted for fault in check()]
    unknown = set(wanted) - {check.__name__ for check in CHECKS}
    found += [f"there is no check {name}" for name in sorted(unknown)]
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


sys.exit(main())
