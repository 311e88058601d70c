"""The exchange's rules and books. Nothing in here knows HTTP, JSON shapes or signatures."""

from bitopro_margin_ext.sandbox.state.accounts import Account, ApiKey, Kind
from bitopro_margin_ext.sandbox.state.clock import Clock
from bitopro_margin_ext.sandbox.state.exchange import Exchange
from bitopro_margin_ext.sandbox.state.orders import Order, Status, Trade
from bitopro_margin_ext.sandbox.state.placing import NewOrder
from bitopro_margin_ext.sandbox.state.refusals import Refusal
from bitopro_margin_ext.sandbox.state.switches import Switches

__all__ = [
    "Account",
    "ApiKey",
    "Clock",
    "Exchange",
    "Kind",
    "NewOrder",
    "Order",
    "Refusal",
    "Status",
    "Switches",
    "Trade",
]
