"""Sends events with the CloudEvents SDK in structured and in binary mode, and a batch of them; prints what the gateway
answered as one JSON object."""

import json
import os
import sys
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

WHEN = datetime(2026, 11, 2, 10, 0, tzinfo=timezone.utc)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def event(number: int) -> CloudEvent:
    attributes = {
        "id": f"order-{number}",
        "source": "/shop/€",
        "type": "order.placed",
        "time": WHEN,
        "subject": f"order {number} für Ada",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "partitionkey": "k1",
    }
    data = {"actor": {"id": "ada"}, "outcome": "success", "attributes": {"total": number * 100}}
    return CloudEvent(attributes=attributes, data=data)


def post(path: str, headers: dict[str, str], body: bytes) -> dict:
    url = os.environ["SEALTRAIL_GATEWAY_URL"] + path
    headers = {**headers, "Authorization": f"Bearer {sys.argv[1]}", "X-Correlation-Id": "shop-run-7"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST"), timeout=20) as answer:
        result = json.load(answer)
        result["correlation_id"] = answer.headers["X-Correlation-Id"]
        return result


def main() -> None:
    structured = http.to_structured_event(event(1))
    binary = http.to_binary_event(event(2))
    again = http.to_structured_event(event(2))
    members = [json.loads(http.to_structured_event(event(number)).body) for number in (3, 4)]
    batch_type = {"content-type": "application/cloudevents-batch+json"}
    json.dump(
        {
            "structured": post("/v1/events", structured.headers, structured.body),
            "binary": post("/v1/events", binary.headers, binary.body),
            "again": post("/v1/events", again.headers, again.body),
            "batch": post("/v1/events/batch", batch_type, json.dumps(members).encode()),
        },
        sys.stdout,
    )


main()
