"""How we read what BitoPro's pages leave open: each reading once, here, and easy to switch.

The margin pages were published in 2025 and contradict themselves in places. Where a reading can be
wrong on the live exchange, the constant below is the one line to change; ccxt users can also
override the ones marked *option* through ``options`` of the exchange object.
"""

from typing import Final

CANCEL_ALL_INTERVAL_SECONDS: Final = 1.0
"""Cancel-all is limited to 2/s per IP and UID, and to 1/s per IP: keep to the stricter one."""

OPEN_ORDERS_PATHS: Final = ("margin/orders/orders/open", "margin/orders/open")
"""Documented path first; on a 404, whoever says it and in whatever words, the spelling that spot's
path suggests, and that is remembered. On every other path a 404 that is not the exchange's own JSON
is no word about anything."""

USER_TRADES_STREAMS: Final = ("margin/margin/user-trades", "margin/user-trades")
"""The same for the user-trades stream: documented first, then with one ``margin``."""

SECONDS_BELOW: Final = 10**11
"""A timestamp below this is in seconds (year 5138), at or above it in milliseconds (year 1973)."""

CLIENT_ID_KEYS: Final = ("clientId", "clientID")
"""REST writes ``clientId``, a stream ``clientID``."""

MARKET_BUY_AMOUNT_IN_QUOTE: Final = True
"""Spot's and the batch page say so; the single-order margin page does not say otherwise."""

PARTLY_FILLED_DONE: Final = "canceled"
"""Status 3, "completed (partial deal)": the rest was cancelled after a partial fill."""

TRANSFER_CALL_KINDS: Final = {"spot": 0, "margin": 5}
TRANSFER_HISTORY_KINDS: Final = {1: "spot", 3: "margin"}
"""Account kinds are numbered one way in the transfer call and another way in its history."""

MAX_LEVERAGE: Final = "3"
"""*Option* ``maxLeverage``. No page states a number; Freqtrade users are held to 1x anyway."""

MARGIN_CURRENCIES: Final = ("BTC", "ETH", "USDT")
"""*Option* ``marginCurrencies``. The currencies that the provisioning example lists."""

MARGIN_QUOTES: Final = ("TWD",)
"""What Freqtrade may trade lent coins against though it is not lent: longs there are paid for,
shorts borrow the coin. No page says which pairs the margin account trades. ccxt's ``margin`` flag
keeps to those whose currencies are both lent; an order that the exchange does not take is refused,
the entry's loan is repaid then and the pair locked."""

AMOUNT_DECIMALS: Final = 8
"""The most decimals of a loan or transfer. No page says; refusals say "decimal limit is 8"."""

INTEREST_YEAR_MS: Final = 365 * 86_400_000
"""How long the year of ``annualInterestPercentage`` is."""

HISTORY_DAYS: Final = 90
"""How far back orders and trades are listed and looked up; an older one is not known any more."""

SHORT_CANDLE_DAYS: Final = 365
SHORT_CANDLES: Final = ("1m", "5m")
"""How far back the candles of these timeframes reach; the others have no documented bound."""

ORDER_AMOUNT_PRECISION: Final = "amountPrecision"
"""*Option* ``orderAmountPrecision``. The field of a pair that bounds the decimals of an order's
amount. BitoPro's table calls this one "order-amount precision"; ccxt reads ``basePrecision``."""

DEFAULT_INTEREST_PERCENT: Final = "1"
"""A year's interest where no table and no exchange says it: that of the provisioning example."""

LOAN_LIST_LAG_SECONDS: Final = 45.0
"""No page says how far the lists of loans and repayments may lag behind the commands. What is not
listed after this time, and not in the balances either, did not happen."""

LIQUIDATION_AD_RATIO: Final = "1.1"
"""*Option* ``liquidation_ad_ratio`` of Freqtrade's config. The pages name one threshold, the label
SAFETY_THRESHOLD at 5.76; their example of a liquidation has 0.15. A guess on the safe side."""
LIST_LAG_SECONDS: Final = 2.0
"""How far the lists of orders may be behind what the exchange has already said. No page says: its
streams push within a second, so that a list which shows an order open two seconds after its cancel
is taken at its word. The look-up of one order is not expected to be behind at all."""

MAX_ORDERS_IN_ANSWER: Final = 20_000
"""More ids or rows than that are no answer but a fault: a pair holds 200 open orders, and this is a
hundred full pairs."""

LOAN_STEP: Final = "0.00000001"
"""*Option* ``loan_step`` of Freqtrade's config, by currency: no page states the step of a loan or
of a repayment. A repayment is never larger than what the balances say is owed, because no page says
what becomes of more; what grows meanwhile is repaid in a second step."""

LOAN_LIST_WINDOW_SECONDS: Final = 120.0
"""How far a listed loan's time may be from the moment at which it was asked for. Serials on the
pages are in no order, so a loan without an answer is found by currency, amount and time."""
