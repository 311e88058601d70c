"""The account, the port and the address that a fresh sandbox has before anybody changes them."""

from __future__ import annotations

from typing import Final

HOST: Final = "127.0.0.1"
PORT: Final = 8650
API_KEY: Final = "sandbox-key"
API_SECRET: Final = "sandbox-secret"  # noqa: S105 - a published test credential, not a secret
EMAIL: Final = "sandbox@example.com"
REST_PREFIX: Final = "/v3"
STREAM_PREFIX: Final = "/ws/v1/pub"
CONTROL_PREFIX: Final = "/_sandbox"
