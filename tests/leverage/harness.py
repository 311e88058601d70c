"""Real bots with leverage on a real sandbox, and the books they are judged by."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from freqtrade.persistence import PairLocks, Trade

from tests.bot.harness import BTC, ETH, BotHarness, close, order_row, trade_of, wait_until, wire

STRATEGIES = Path(__file__).with_name("strategies")
CAPITAL = Decimal(10_000)

__all__ = ["BTC", "CAPITAL", "ETH", "LeverageHarness", "close", "order_row", "trade_of",
           "wait_until", "wire"]  # fmt: skip


def unlock(pair: str) -> None:
    """Freqtrade locks a pair for a candle after an exit."""
    for lock in PairLocks.get_pair_locks(pair):
        if lock.reason == "Auto lock":
            lock.active = False
    Trade.commit()


class LeverageHarness(BotHarness):
    """One sandbox whose account begins with 10,000 USDT and no debt."""

    TWD = {"stake_currency": "TWD", "stake_amount": 30_000,
           "exchange": {"pair_whitelist": ["BTC/TWD", "USDT/TWD"]}}  # fmt: skip
    """The changes of a config that trades against TWD."""

    def _restart(self) -> None:
        super()._restart()
        self.control.set_balances({"USDT": str(CAPITAL), "BTC": "0", "ETH": "0"})
        self.rate("100")

    def in_twd(self) -> None:
        """The same worth in TWD, which is not lent, and pairs of it on margin."""
        self.control.set_prices({"usdt_twd": "31.5", "btc_twd": "1890000"})
        for pair in ("btc_twd", "usdt_twd"):
            self.control.set_margin(pair)
        self.control.set_balances({"USDT": "0", "TWD": str(CAPITAL * Decimal("31.5"))})

    def rate(self, percent: str) -> None:
        """What a year costs: much, so that a test sees it."""
        for currency in ("USDT", "BTC", "ETH"):
            self.control.set_loan_terms(currency, annual_percent=percent)

    def config(self, strategy: str = "Levered", **changes: Any) -> dict[str, Any]:
        config = super().config(strategy, **changes)
        config |= {
            "trading_mode": "futures",
            "strategy_path": str(STRATEGIES),
            "order_types": {
                "entry": "limit",
                "exit": "limit",
                "emergency_exit": "market",
                "force_exit": "market",
                "stoploss": "market",
                "stoploss_on_exchange": False,
                **changes.get("order_types", {}),
            },
        }
        # What a market exit must have.
        pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
        config |= {"exit_pricing": pricing, "entry_pricing": pricing}
        return config

    def bot(self, strategy: str = "Levered", **changes: Any) -> Any:
        return super().bot(strategy, **changes)

    def restart(self, bot: Any) -> None:
        """Stop a bot as its worker does."""
        close(bot)
        self._bots.remove(bot)

    # -- stories -------------------------------------------------------------------------------

    def open(
        self, bot: Any, side: str, leverage: float = 3.0, pair: str = BTC, fill: str | None = "1"
    ) -> str:
        """Enter, and fill the entry to a fraction; the id of its order."""
        before = {order["id"] for order in self.truth()}
        unlock(pair)
        bot.strategy.enter[pair] = side
        bot.strategy.levers[pair] = leverage
        bot.process()
        action = "BUY" if side == "long" else "SELL"
        entry = next(
            order["id"]
            for order in self.truth(pair=wire(pair), action=action, by_hand=False)
            if order["id"] not in before
        )
        if fill is not None:
            if self.control.order(entry)["open"]:
                self.control.fill(entry, fraction=fill)
            bot.process()
        return str(entry)

    def exit(self, bot: Any, pair: str = BTC, iterations: int = 3) -> None:
        """Leave by a signal, fill the exit, and let the bot see it."""
        bot.strategy.leave[pair] = "told_to"
        bot.process()
        del bot.strategy.leave[pair]
        for order in self.truth(pair=wire(pair), open=True, by_hand=False):
            self.control.fill(order["id"])
        for _ in range(iterations):
            bot.process()

    # -- the books -----------------------------------------------------------------------------

    def wallet(self, currency: str) -> Decimal:
        """What the account has of a currency, available and in orders."""
        row = self.account()["margin"].get(currency)
        return Decimal(0) if row is None else Decimal(row["available"]) + Decimal(row["locked"])

    def account(self) -> dict[str, Any]:
        account: dict[str, Any] = self.control.state()["accounts"][0]
        return account

    def debt(self, currency: str) -> Decimal:
        """What the account owes of a currency, interest included."""
        return Decimal(self.account()["debts"].get(currency, "0"))

    def price(self, currency: str) -> Decimal:
        """What a currency is worth in USDT."""
        if currency == "USDT":
            return Decimal(1)
        return Decimal(self.control.state()["prices"][f"{currency.lower()}_usdt"]["price"])

    def equity(self) -> Decimal:
        """The account's value in USDT at the prices of now."""
        return sum(
            ((self.wallet(c) - self.debt(c)) * self.price(c) for c in ("USDT", "BTC", "ETH")),
            Decimal(0),
        )

    def dust_cost(self, bot: Any) -> Decimal:
        """What the leftovers of buy-backs have cost, in USDT."""
        dust = bot.exchange.loans.ledger.dust()
        return sum((cost for _amount, cost in dust.values()), Decimal(0))

    def profit(self) -> Decimal:
        """What Freqtrade's database says has been earned, by closed and open trades."""
        Trade.session.expire_all()
        return sum(
            (
                Decimal(str((t.realized_profit if t.is_open else t.close_profit_abs) or 0.0))
                for t in Trade.get_trades().all()
            ),
            Decimal(0),
        )

    def assert_settled(self, bot: Any, tolerance: str = "0.000001") -> None:
        """Nothing is owed, and the database says what the account says, dust at cost."""
        for currency in ("USDT", "BTC", "ETH"):
            assert self.debt(currency) == 0, (currency, self.debt(currency))
        change = self.wallet("USDT") - CAPITAL
        earned = self.profit() - self.dust_cost(bot)
        assert abs(earned - change) <= Decimal(tolerance), (earned, change, earned - change)
