"""Checks a receipt by what C2SP says of signed notes: `check_receipt.py KEYS_URL RECEIPT`. Prints the offset and the hash of
its first record; exits with 1 if no listed key has signed it."""

import base64
import hashlib
import sys
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

keys = {}
for line in urllib.request.urlopen(sys.argv[1]).read().decode().splitlines():
    name, key_id, encoded = line.split("+", 2)
    key = base64.b64decode(encoded)
    assert key[0] == 1 and len(key) == 33, "an Ed25519 key"
    assert hashlib.sha256(f"{name}\n".encode() + key).digest()[:4].hex() == key_id
    keys[name, key_id] = Ed25519PublicKey.from_public_bytes(key[1:])

text, signatures = sys.argv[2].rsplit("\n\n", 1)
text += "\n"
for line in signatures.splitlines():
    dash, name, encoded = line.split(" ")
    signature = base64.b64decode(encoded)
    key = keys.get((name, signature[:4].hex()))
    if key is None:
        continue
    try:
        key.verify(signature[4:], text.encode())
    except InvalidSignature:
        continue
    trail, topic, partition, offset, timestamp_ms, sha256 = text.splitlines()[1].split(" ")
    print(offset, sha256)
    sys.exit(0)
sys.exit(1)
