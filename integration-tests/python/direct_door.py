"""Publishes events straight to the topic with confluent-kafka and its Avro serializer, as any producer may; prints a
JSON object of event id to partition."""

import json
import os
import sys
import time
import uuid
from pathlib import Path

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import StringSerializer

EVENTS = 20
SCHEMA = Path(__file__).resolve().parents[2] / "schemas/avro/audit_event.v1.avsc"


def event(tenant: str, number: int) -> dict:
    """Only what has no default in the schema, and a little more."""
    return {
        "event_id": str(uuid.uuid4()),
        "tenant_id": tenant,
        "occurred_at": time.time_ns() // 1000,
        "event_type": "user.login",
        "actor": {"id": f"python-{number}"},
        "attributes": {"n": str(number), "client": "confluent-kafka"},
    }


def main() -> None:
    tenant = sys.argv[1]
    registry = SchemaRegistryClient({"url": os.environ["SEALTRAIL_REGISTRY_URL"]})
    producer = SerializingProducer(
        {
            "bootstrap.servers": os.environ["SEALTRAIL_KAFKA"],
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "key.serializer": StringSerializer(),
            "value.serializer": AvroSerializer(registry, SCHEMA.read_text()),
        }
    )
    partitions: dict[str, int] = {}

    def delivered(error, message) -> None:
        if error is not None:
            raise SystemExit(f"not delivered: {error}")
        partitions[message.key().decode().split("|")[1]] = message.partition()

    for number in range(EVENTS):
        value = event(tenant, number)
        producer.produce("audit.events.v1", f"{tenant}|{value['event_id']}", value, on_delivery=delivered)
    producer.flush(30)
    json.dump(partitions, sys.stdout)


main()
