"""The one table, for a terminal, for the README and for programs."""

import json
from collections.abc import Sequence

from .machine import Machine
from .readings import Contender, Row

EXITS = 2
"""The measurement with a table of its own."""
FACTOR, MORE_SECONDS = 1.25, 0.060
"""Its aim: the floor's time so often, and so much more."""
_EXIT_HEAD = (
    "round trip",
    "pairs x orders",
    "exit leaves after",
    "round trips",
    "aim",
    "floor",
    "Freqtrade",
    "one by one",
    "all mapped, after the exit",
    "processor time",
)
_HEAD = ("", "measured", "round trip", "ours", "against", "aim")


def as_json(machine: Machine, rows: Sequence[Row]) -> str:
    document = {"machine": machine.to_json(), "rows": [row.to_json() for row in rows]}
    return json.dumps(document, indent=2)


def as_markdown(machine: Machine, rows: Sequence[Row]) -> str:
    exits = [row for row in rows if row.number == EXITS]
    others = [row for row in rows if row.number != EXITS]
    lines = [f"{machine.describe()}."]
    if others:
        lines += ["", _pipes(_HEAD), _pipes(["---"] * len(_HEAD))]
        lines += [_pipes(_cells(row)) for row in others]
    if exits:
        lines += ["", _pipes(_EXIT_HEAD), _pipes(["---"] * len(_EXIT_HEAD))]
        lines += [_pipes(_exit_cells(row)) for row in exits]
    return "\n".join(lines)


def _exit_cells(row: Row) -> tuple[str, ...]:
    floor, freqtrade, one_by_one = row.others
    trip = row.round_trip_ms or 0
    limit = FACTOR * floor.seconds + MORE_SECONDS
    parts = row.ours.parts
    return (
        f"{trip} ms",
        row.what,
        _duration(row.ours.seconds),
        f"{row.ours.seconds * 1000 / trip:.1f}" if trip else "",
        f"{_duration(limit)}: {'met' if row.met else 'missed'}",
        _duration(floor.seconds),
        freqtrade.dropped or _duration(freqtrade.seconds),
        one_by_one.dropped or _duration(one_by_one.seconds),
        _duration(parts["all mapped after"]),
        _duration(parts["processor"]),
    )


def as_text(machine: Machine, rows: Sequence[Row]) -> str:
    table = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([machine.describe(), "", *lines])


def as_line(row: Row) -> str:
    """A row as it comes, for whoever waits."""
    return "  ".join(cell for cell in _cells(row) if cell)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.number),
        row.what,
        "" if row.round_trip_ms is None else f"{row.round_trip_ms} ms",
        _reading(row.ours, row.round_trip_ms),
        "; ".join(_against(row, other) for other in row.others),
        _aim(row),
    )


def _against(row: Row, other: Contender) -> str:
    if other.dropped is not None:
        return f"{other.name}: {other.dropped}"
    ratio = row.ratio(other)
    assert ratio is not None
    return f"{other.name} {_reading(other, row.round_trip_ms)}: {ratio:.3g}x"


def _reading(contender: Contender, round_trip_ms: int | None) -> str:
    text = _duration(contender.seconds)
    details = []
    if round_trip_ms:
        details.append(f"{contender.seconds * 1000 / round_trip_ms:.1f} round trips")
    details += [f"{name} {_duration(part)}" for name, part in contender.parts.items()]
    if contender.requests is not None:
        plural = "" if contender.requests == 1 else "s"
        details.append(f"{contender.requests} request{plural}")
    details.append(f"n={len(contender.samples)}")
    return f"{text} ({', '.join(details)})"


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 20 else f"{milliseconds:.2f} ms"


def _aim(row: Row) -> str:
    if row.met is None:
        return row.aim
    return f"{row.aim}: {'met' if row.met else 'MISSED'}"


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
