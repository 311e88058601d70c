"""The user folder of a drill: a config that enables the plugin, and the drill's strategy."""

import json
import shutil
from pathlib import Path
from typing import Any

STRATEGY = "DrillStrategy"
PAIRS = ("BTC/USDT", "ETH/USDT")


def write_userfolder(
    folder: Path, *, rest_url: str, scope: str, deadline: float, key: str, secret: str
) -> Path:
    """Write everything that ``freqtrade trade`` needs, and return the config's path."""
    strategies = folder / "strategies"
    strategies.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("drill_strategy.py"), strategies)
    config = folder / "config.json"
    config.touch(mode=0o600)
    config.write_text(
        json.dumps(
            build_config(
                folder, rest_url=rest_url, scope=scope, deadline=deadline, key=key, secret=secret
            ),
            indent=2,
        )
    )
    return config


def build_config(
    folder: Path, *, rest_url: str, scope: str, deadline: float, key: str, secret: str
) -> dict[str, Any]:
    """A live (not dry-run) config against the sandbox, quick enough for a drill."""
    return {
        "bot_name": "drill",
        "dry_run": False,
        "trading_mode": "margin",
        "margin_mode": "cross",
        "max_open_trades": len(PAIRS),
        "stake_currency": "USDT",
        "stake_amount": 1000,
        "tradable_balance_ratio": 0.99,
        "timeframe": "5m",
        "user_data_dir": str(folder),
        "db_url": f"sqlite:///{folder}/trades.sqlite",
        "unfilledtimeout": {"entry": 600, "exit": 2, "exit_timeout_count": 1, "unit": "seconds"},
        "order_types": {
            "entry": "limit",
            "exit": "limit",
            "emergency_exit": "market",
            "stoploss": "limit",
            "stoploss_on_exchange": True,
            "stoploss_on_exchange_interval": 60,
        },
        "entry_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exchange": {
            "name": "bitopromargin",
            "key": key,
            "secret": secret,
            "pair_whitelist": list(PAIRS),
            "pair_blacklist": [],
            "ccxt_config": {"urls": {"api": {"rest": rest_url}}},
        },
        "pairlists": [{"method": "StaticPairList"}],
        "bitopro_margin": {"scope": scope, "deadline": deadline},
        "internals": {"process_throttle_secs": 1},
        "initial_state": "running",
        "log_config": build_log_config(folder / "freqtrade.log"),
    }


def build_log_config(logfile: Path) -> dict[str, Any]:
    """A whole ``log_config``: its filter is what enables the plugin."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"bitopro_margin": {"()": "bitopro_margin_ext.enable"}},
        "formatters": {
            "standard": {"format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s"}
        },
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "formatter": "standard",
                "filename": str(logfile),
                "filters": ["bitopro_margin"],
            }
        },
        "root": {"handlers": ["file"], "level": "INFO"},
    }
