"""The profiles of the proof: a quick one for every run, a deep one for ``tests.proof``."""

import os

from hypothesis import HealthCheck, settings

_COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}
settings.register_profile("quick", max_examples=60, derandomize=True, **_COMMON)
settings.register_profile(
    "deep", max_examples=int(os.environ.get("PROOF_EXAMPLES", "10000")), **_COMMON
)
if not settings.get_current_profile_name().startswith("deep"):
    settings.load_profile("quick")
