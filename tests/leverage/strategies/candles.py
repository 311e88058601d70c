"""A strategy that trades by the clock, for backtests."""

from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class ByTheClock(EmergencyCancelMixin, IStrategy):
    """In at candle 2 and out at candle 40 as a long, 50 to 90 as a short, of every 96."""

    timeframe = "1h"
    minimal_roi = {"0": 100}
    stoploss = -0.9
    can_short = True
    use_exit_signal = True
    position_adjustment_enable = True
    order_types = {
        "entry": "market",
        "exit": "market",
        "stoploss": "market",
        "emergency_exit": "market",
        "stoploss_on_exchange": False,
    }

    def populate_indicators(self, dataframe: Any, metadata: Any) -> Any:
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: Any) -> Any:
        at = dataframe.index % 96
        dataframe.loc[at == 2, "enter_long"] = 1
        dataframe.loc[at == 50, "enter_short"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: Any) -> Any:
        at = dataframe.index % 96
        dataframe.loc[at == 40, "exit_long"] = 1
        dataframe.loc[at == 90, "exit_short"] = 1
        return dataframe

    def leverage(self, *args: Any, **kwargs: Any) -> float:
        # More than allowed: it is cut to 3x long and 2x short.
        return 9.0

    def adjust_trade_position(
        self, trade: Any, current_time: Any, *args: Any, **kwargs: Any
    ) -> float | None:
        hours = (current_time - trade.open_date_utc).total_seconds() / 3600
        part = self.config.get("take_part")
        if part and hours >= 20 and trade.nr_of_successful_exits == 0:
            return -trade.stake_amount / 3
        if part and hours >= 10 and trade.nr_of_successful_entries == 1:
            return float(trade.stake_amount) / 2
        return None
