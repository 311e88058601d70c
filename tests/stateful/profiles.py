"""The profiles of the proof: a quick one for every run, a deep one for ``tests.stateful``."""

import os

from hypothesis import HealthCheck, Phase, settings

_COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}
_EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "10000"))
settings.register_profile("quick", max_examples=60, derandomize=True, database=None, **_COMMON)
settings.register_profile("deep", max_examples=_EXAMPLES, database=None, **_COMMON)


def is_deep() -> bool:
    """Whether the deep profile was asked for."""
    return settings.get_current_profile_name() == "deep"


def shard() -> tuple[int, int]:
    """Which part of everything this process plays: its number, and of how many."""
    number, of = os.environ.get("PROOF_SHARD", "0/1").split("/")
    return int(number), int(of)


def profile(quick: int, steps: int, *, shrink: bool = True) -> settings:
    """The settings of one machine: so many examples in the quick profile, of so many steps.

    To ``shrink`` a failure takes hundreds of examples: too long where each takes a second.
    """
    phases = [Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])]
    chosen = settings.get_profile("deep" if is_deep() else "quick")
    return settings(
        chosen,
        max_examples=_EXAMPLES if is_deep() else quick,
        stateful_step_count=steps,
        phases=phases,
        report_multiple_bugs=False,
    )
