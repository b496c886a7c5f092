"""Makes the calls to a schema registry that confluent-kafka's client and its Avro serializers make. Takes a subject of
the test's own; prints one JSON object of what came back."""

import json
import os
import sys
from pathlib import Path

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

SCHEMA = Path(__file__).resolve().parents[2] / "schemas/avro/audit_event.v1.avsc"


def changed(fields: list) -> Schema:
    schema = json.loads(SCHEMA.read_text())
    schema["fields"] += fields
    return Schema(json.dumps(schema), "AVRO")


def error_of(call) -> list:
    try:
        call()
    except SchemaRegistryError as error:
        return [error.http_status_code, error.error_code]
    return []


def main() -> None:
    subject = sys.argv[1]
    topic = subject.removesuffix("-value")
    client = SchemaRegistryClient({"url": os.environ["SEALTRAIL_REGISTRY_URL"]})
    base = changed([])
    compatible = changed([{"name": "office", "type": ["null", "string"], "default": None}])
    incompatible = changed([{"name": "office", "type": "string"}])
    said = {}
    first = client.register_schema(subject, base)
    client.set_compatibility(subject, "FULL_TRANSITIVE")
    said["level"] = client.get_compatibility(subject)
    said["same id"] = client.register_schema(subject, base) == first
    said["looked up"] = client.lookup_schema(subject, base).schema_id == first
    said["compatible"] = client.test_compatibility(subject, compatible)
    said["incompatible"] = client.test_compatibility(subject, incompatible)
    said["refused"] = error_of(lambda: client.register_schema(subject, incompatible))[:1]
    second = client.register_schema(subject, compatible)
    said["new id"] = second != first
    said["versions"] = client.get_versions(subject)
    said["latest is second"] = client.get_latest_version(subject).schema_id == second
    said["version 1 is first"] = client.get_version(subject, 1).schema_id == first
    said["listed"] = subject in client.get_subjects()
    fresh = SchemaRegistryClient({"url": os.environ["SEALTRAIL_REGISTRY_URL"]})
    text = fresh.get_schema(first).schema_str
    said["same text"] = json.loads(text) == json.loads(base.schema_str)
    said["unknown id"] = error_of(lambda: fresh.get_schema(999_999))
    said["unknown subject"] = error_of(lambda: fresh.get_latest_version("no-such-subject"))
    event = {
        "event_id": "01a20213-0000-7000-8000-000000000000",
        "tenant_id": "t",
        "occurred_at": 1,
        "event_type": "user.login",
        "actor": {"id": "ada"},
    }
    context = SerializationContext(topic, MessageField.VALUE)
    record = AvroSerializer(client, base.schema_str)(event, context)
    said["frame"] = record[:5] == b"\0" + first.to_bytes(4, "big")
    said["read back"] = AvroDeserializer(fresh)(record, context)["actor"]["id"]
    json.dump(said, sys.stdout)


main()
