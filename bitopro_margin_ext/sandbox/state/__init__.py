"""The exchange's rules and books. Nothing in here knows HTTP, JSON shapes or signatures."""

from .accounts import Account, ApiKey, Kind
from .exchange import Clock, Exchange
from .order_history import NewOrder, Order, Status, Trade
from .refusals import Reason, Refusal
from .switches import Switches

__all__ = [
    "Account",
    "ApiKey",
    "Clock",
    "Exchange",
    "Kind",
    "NewOrder",
    "Order",
    "Reason",
    "Refusal",
    "Status",
    "Switches",
    "Trade",
]
