"""The signature of a webhook: HMAC-SHA256 over the time and the body, and how a receiver checks it.

`Otel-Monitor-Signature: t=1732450000,v1=5257a8…`, where `v1` is the HMAC of `1732450000.` and the body, in
hexadecimal. The time is inside, so that an old request cannot be sent again.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "Otel-Monitor-Signature"


def sign(secret: str, body: bytes, at: float) -> str:
    """The header's value for `body` sent at `at` (unix seconds)."""
    moment = str(int(at))
    return f"t={moment},v1={_digest(secret, moment, body)}"


def verify(secret: str, body: bytes, header: str, now: float, tolerance_s: float = 300.0) -> bool:
    """Whether `header` is the signature of `body`, made at most `tolerance_s` before or after `now`."""
    fields = dict(part.strip().partition("=")[::2] for part in header.split(","))
    moment = fields.get("t", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 15) or abs(now - int(moment)) > tolerance_s:
        return False
    given = fields.get("v1", "").encode("utf-8", "replace")
    return hmac.compare_digest(_digest(secret, moment, body).encode(), given)


def _digest(secret: str, moment: str, body: bytes) -> str:
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
