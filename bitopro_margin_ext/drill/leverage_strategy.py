"""The strategy of the drill with leverage: a long of BTC, a short of ETH, exits on request.

A copy of this file is put into the drill's user folder; it talks to the drill by files beside it.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class LeverageDrillStrategy(EmergencyCancelMixin, IStrategy):  # type: ignore[misc]
    """Enter each pair once, with as much leverage as its side may have."""

    timeframe = "5m"
    process_only_new_candles = False
    minimal_roi = {"0": 100}  # noqa: RUF012 - the host's way
    stoploss = -0.50
    use_exit_signal = True
    can_short = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._entered: set[str] = set()

    def populate_indicators(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """No indicators."""
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """Always enter: BTC long, ETH short."""
        side = "long" if metadata["pair"].startswith("BTC") else "short"
        dataframe[f"enter_{side}"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """Never exit by signal."""
        return dataframe

    def leverage(self, *args: Any, **kwargs: Any) -> float:
        """More than any cap: it is cut to the side's."""
        return 10.0

    def confirm_trade_entry(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        """Enter each pair once."""
        first = pair not in self._entered
        self._entered.add(pair)
        return first

    def custom_exit(
        self, pair: str, trade: Any, current_time: datetime, *args: Any, **kwargs: Any
    ) -> str | None:
        """Exit a pair when the drill has put down a file for it."""
        request = Path(self.config["user_data_dir"]) / f"exit-{pair.replace('/', '-')}"
        return "drill_exit" if request.exists() else None
