"""What is measured: samples of contenders that take turns, and rows that compare them."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One measurement; ``parts`` are named seconds within it."""

    seconds: float
    requests: int | None = None
    parts: dict[str, float] = field(default_factory=dict)


@dataclass
class Contender:
    """One side of a comparison. ``measure`` prepares by itself and times only what counts."""

    name: str
    measure: Callable[[], Sample]
    samples: list[Sample] = field(default_factory=list)
    dropped: str | None = None
    """Why this side was not measured."""

    @property
    def spent(self) -> float:
        return sum(sample.seconds for sample in self.samples)

    @property
    def seconds(self) -> float:
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def requests(self) -> int | None:
        counts = [sample.requests for sample in self.samples if sample.requests is not None]
        return round(statistics.median(counts)) if counts else None

    @property
    def parts(self) -> dict[str, float]:
        names = self.samples[0].parts
        return {name: statistics.median(s.parts[name] for s in self.samples) for name in names}

    def to_json(self) -> dict[str, Any]:
        if self.dropped is not None:
            return {"name": self.name, "dropped": self.dropped}
        return {
            "name": self.name,
            "seconds": self.seconds,
            "requests": self.requests,
            "parts": self.parts,
            "samples": [sample.seconds for sample in self.samples],
        }


@dataclass
class Row:
    """One line of the table: our side, the others, and the aim if there is one."""

    number: int
    what: str
    round_trip_ms: int | None
    ours: Contender
    others: list[Contender]
    aim: str = ""
    met: bool | None = None
    """Whether the aim is met; None where there is none."""

    def ratio(self, other: Contender) -> float | None:
        """Ours to theirs: below 1 we are quicker."""
        return None if other.dropped is not None else self.ours.seconds / other.seconds

    def to_json(self) -> dict[str, Any]:
        return {
            "measurement": self.number,
            "what": self.what,
            "round_trip_ms": self.round_trip_ms,
            "ours": self.ours.to_json(),
            "others": [{**o.to_json(), "ours_to_theirs": self.ratio(o)} for o in self.others],
            "aim": self.aim,
            "met": self.met,
        }


def take_turns(contenders: Sequence[Contender], rounds: int, budget: float = 10.0) -> None:
    """Measure in turns, A B A B …, so that a slow moment of the machine meets every side.

    A side that has spent ``budget`` seconds sits out the remaining rounds.
    """
    for _ in range(rounds):
        for contender in contenders:
            if contender.dropped is None and contender.spent < budget:
                contender.samples.append(contender.measure())
