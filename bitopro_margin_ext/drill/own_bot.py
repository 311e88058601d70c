"""A copy of the user's own bot, fit for a rehearsal: nothing of theirs is written to or called.

Their strategy runs with their config, but at the sandbox's address with its key, on a database and
a user folder of its own, without their messengers, and with time-outs short enough to wait for.
"""

import copy
import json
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests

from ..sandbox.state.markets import PAIRS
from .bot_process import build_config, build_log_config

MOST_PAIRS: Final = 20
COMPANIONS: Final = ("BTC", "ETH", "SOL")
"""What is traded beside a pair that stands alone in its whitelist: the drill needs a second."""
KEPT_OUT: Final = (
    "add_config_files",
    "available_capital",
    "datadir",
    "discord",
    "external_message_consumer",
    "fiat_display_currency",
    "logfile",
    "strategy_path",
    "telegram",
    "webhook",
)
"""Sections of a config that lead to places and people of the user's."""
CALL_SECONDS: Final = 30.0


class OwnBot(NamedTuple):
    """What to rehearse: a merged config, a strategy's name and folders, the pairs to trade."""

    config: Mapping[str, Any]
    strategy: str
    folders: tuple[Path, ...]
    pairs: tuple[str, ...]

    @property
    def stake_currency(self) -> str:
        """The currency of the entries, in which all pairs are quoted."""
        return str(self.config["stake_currency"])

    @property
    def changes(self) -> str:
        """What the copy has otherwise than the user's config, for people."""
        return (
            "changed in the copy: address and key, database and user folder, stake, limit orders "
            f"for entry and exit, time-outs and throttle, the pairs ({', '.join(self.pairs)}); no "
            "messengers"
        )

    def copy_strategies(self, folder: Path) -> None:
        """Put the strategies, with what lies beside them, into another user folder.

        :raises OSError: when a folder cannot be read.
        """
        strategies = folder / "strategies"
        for source in self.folders:
            # Freqtrade would leave its compiled files beside the user's own.
            ignored = shutil.ignore_patterns("__pycache__", ".git", ".ipynb_checkpoints")
            shutil.copytree(source, strategies, ignore=ignored, dirs_exist_ok=True)
        strategies.mkdir(parents=True, exist_ok=True)

    def write(self, folder: Path, *, rest_url: str, key: str, secret: str, stake: float) -> Path:
        """Write the copy into ``folder`` and return its config's path.

        :raises OSError: when a folder of strategies cannot be read.
        """
        self.copy_strategies(folder)
        return _write_config(folder, self._copy(folder, rest_url, key, secret, stake))

    def write_as_it_is(self, folder: Path) -> Path:
        """Write a copy to be loaded, not run: what config and strategy say together."""
        self.copy_strategies(folder)
        kept = {name: value for name, value in self.config.items() if name not in KEPT_OUT}
        own = {
            "strategy": self.strategy,
            "user_data_dir": str(folder),
            "log_config": build_log_config(folder / "freqtrade.log"),
            "exchange": _exchange(kept.get("exchange") or {}, {"key": "", "secret": ""}),
        }
        return _write_config(folder, kept | own)

    def controllable(self, loaded: Mapping[str, Any]) -> "OwnBot":
        """This bot with orders that rest until the drill fills them.

        ``loaded`` is config and strategy together: what is in the config outranks the strategy.
        """
        changes = {
            "order_types": {**loaded["order_types"], "entry": "limit", "exit": "limit"},
            "unfilledtimeout": dict(loaded.get("unfilledtimeout") or {}),
            "entry_pricing": {**(loaded.get("entry_pricing") or {}), "price_side": "same"},
        }
        return self._replace(config={**self.config, **changes})

    def _copy(
        self, folder: Path, rest_url: str, key: str, secret: str, stake: float
    ) -> dict[str, Any]:
        config = copy.deepcopy({k: v for k, v in self.config.items() if k not in KEPT_OUT})
        block = dict(config.get("bitopro_margin") or {})
        if block.get("heartbeat_file"):
            block["heartbeat_file"] = str(folder / "heartbeat")
        ours = build_config(
            folder,
            rest_url=rest_url,
            scope=block.get("scope", "pair"),
            deadline=block.get("deadline", 10.0),
            key=key,
            secret=secret,
        )
        for name in ("db_url", "user_data_dir", "log_config", "pairlists"):
            config[name] = ours[name]
        timeouts = dict(config.get("unfilledtimeout") or {})
        timeouts |= {"entry": 600, "exit": 2, "unit": "seconds"}
        exchange = _exchange(config.get("exchange") or {}, ours["exchange"])
        config |= {
            "dry_run": False,
            "initial_state": "running",
            "cancel_open_orders_on_exit": False,
            "force_entry_enable": True,
            "max_open_trades": len(self.pairs),
            "stake_amount": stake,
            "tradable_balance_ratio": 0.99,
            "strategy": self.strategy,
            "bitopro_margin": block,
            "unfilledtimeout": timeouts,
            "internals": {"process_throttle_secs": 1},
            "exchange": exchange | {"pair_whitelist": list(self.pairs), "pair_blacklist": []},
            "api_server": {
                "enabled": True,
                "listen_ip_address": "127.0.0.1",
                "listen_port": _free_port(),
                "verbosity": "error",
                "jwt_secret_key": secrets.token_hex(32),
                "username": "drill",
                "password": secrets.token_urlsafe(16),
            },
        }
        return config


def choose_pairs(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The pairs to rehearse: the whitelist's that are in the stake currency, at least two.

    :raises ValueError: saying what is wrong with the whitelist.
    """
    from freqtrade.plugins.pairlist.pairlist_helpers import expand_pairlist

    stake, exchange = str(config.get("stake_currency") or ""), config.get("exchange") or {}
    if not re.fullmatch("[A-Z0-9]{2,10}", stake):
        raise ValueError(f"no stake currency: {stake!r}; write it like USDT")
    known = list(dict.fromkeys(f"{pair.base}/{stake}" for pair in PAIRS if pair.base != stake))
    wanted = expand_pairlist(exchange.get("pair_whitelist") or [], known, keep_invalid=True)
    unwanted = expand_pairlist(exchange.get("pair_blacklist") or [], wanted + known)
    pairs = [
        pair
        for pair in dict.fromkeys(wanted)
        if re.fullmatch(f"[A-Z0-9]+/{stake}", pair) and pair not in unwanted
    ]
    if wanted and not pairs:
        raise ValueError(f"no pair of the pair_whitelist is in {stake}, the stake currency")
    for base in COMPANIONS:
        pair = f"{base}/{stake}"
        if len(pairs) < 2 and base != stake and pair not in pairs:
            pairs.append(pair)
    return tuple(pairs[:MOST_PAIRS])


def _write_config(folder: Path, config: Mapping[str, Any]) -> Path:
    path = folder / "config.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))
    return path


def _exchange(own: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The user's section with our key and address, and without a proxy of theirs."""
    named = ("password", "uid", "api_key", "apiKey", "walletAddress", "privateKey", "login")
    kept = {name: value for name, value in own.items() if name not in named}
    for section in ("ccxt_config", "ccxt_sync_config", "ccxt_async_config"):
        kept[section] = {
            name: value
            for name, value in dict(own.get(section) or {}).items()
            if name not in (*named, "secret", "sandbox", "testnet", "urls")
            and "proxy" not in name.lower()
            and "proxies" not in name.lower()
        }
        options = kept[section].get("options")
        if isinstance(options, Mapping):
            kept[section]["options"] = {
                name: value for name, value in options.items() if name not in ("sandbox", "testnet")
            }
    ccxt_config = kept["ccxt_config"] | ours.get("ccxt_config", {})
    return kept | {"key": ours["key"], "secret": ours["secret"], "ccxt_config": ccxt_config}


class BotControl:
    """Freqtrade's own REST server, for what a person would do by hand."""

    def __init__(self, config: Path) -> None:
        server = json.loads(config.read_text())["api_server"]
        self._url = f"http://127.0.0.1:{server['listen_port']}/api/v1"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (server["username"], server["password"])

    def is_up(self) -> bool:
        """Whether the bot can be asked to enter."""
        try:
            found = self._session.get(f"{self._url}/show_config", timeout=2)
            return found.ok and str(found.json().get("state", "")).lower() == "running"
        except (requests.RequestException, ValueError):
            return False

    def enter(self, pair: str, price: str) -> str | None:
        """Place a limit entry; returns why it was refused, or None."""
        wish = {"pair": pair, "price": float(price), "ordertype": "limit"}
        return self._post("forceenter", wish)

    def exit(self, trade_id: int, price: str) -> str | None:
        """Place a limit exit of a whole trade; returns why it was refused, or None."""
        wish = {"tradeid": str(trade_id), "price": float(price), "ordertype": "limit"}
        return self._post("forceexit", wish)

    def _post(self, what: str, wish: Mapping[str, Any]) -> str | None:
        try:
            answer = self._session.post(f"{self._url}/{what}", json=wish, timeout=CALL_SECONDS)
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            return type(error).__name__
        return None if answer.ok else str(document.get("error") or document)[:200]


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port
