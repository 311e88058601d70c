"""What the exchange class answers without the network while a sweep's orders are mapped.

Freqtrade's handlers ask for balances and rates once an order. With two hundred orders that would
be four hundred requests, in front of an exit that waits.
"""

import threading
from dataclasses import dataclass, field


@dataclass
class Settling:
    """One mapping in progress, in the thread that began it: others get the exchange's own word."""

    rates: dict[str, float] = field(default_factory=dict)
    """The last price known of a pair, in quote: for messages."""
    wants_balances: bool = False
    """Whether the next question for balances goes out: a fill's fee may come out of them."""
    thread: int = field(default_factory=threading.get_ident)
