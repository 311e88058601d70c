"""What the bot is about to do with an order, noted on disk until its database holds the row.

Freqtrade writes an order's row once its creation has been answered. A process that ends before
that, or an answer that never comes, would leave an order on the account that no database knows.
The note holds what Freqtrade was about to do, so that the row can be written later; the exchange
finds the order by its ``clientId``. It is a file of its own, because no lock of the database may
keep an exit from being sent.
"""

import contextvars
import hashlib
import inspect
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy.engine import make_url

from . import freqtrade_internals

logger = logging.getLogger(__name__)

Kind = Literal["entry", "exit", "stoploss"]
SUFFIX: Final = "-bitopro_margin_orders"


@dataclass(frozen=True)
class UnconfirmedOrder:
    """One order that was sent, or is about to be; amounts in base, ``sent`` in Unix seconds.

    ``rate`` is the limit, the stop price of a stoploss, or the rate that a market order expects.
    ``stake_amount`` is an entry's, ``tag`` its enter tag or an exit's reason, and ``partial`` marks
    an exit of a part of the position. ``order_id`` is there once the creation was answered.
    """

    client_id: int
    pair: str
    side: str
    kind: Kind
    order_type: str
    amount: float
    rate: float
    leverage: float
    sent: float
    trade_id: int | None = None
    tag: str | None = None
    stake_amount: float | None = None
    partial: bool = False
    order_id: str | None = None
    blocks: bool = True
    """Whether another order of this pair and side has to wait for it."""

    @property
    def age(self) -> float:
        """Seconds since it was sent."""
        return time.time() - self.sent


class OrderJournal:
    """The notes of one bot, in memory and in a file; ``path`` None keeps them in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._orders: dict[int, UnconfirmedOrder] | None = None

    def __reduce__(self) -> tuple[type["OrderJournal"], tuple[None]]:
        """A copy, as hyperopt's workers get one, is empty and writes to no file."""
        return OrderJournal, (None,)

    def __len__(self) -> int:
        return len(self._noted())

    def all(self) -> list[UnconfirmedOrder]:
        """Every noted order, in the order in which they were sent."""
        with self._lock:
            return list(self._noted().values())

    def add(self, order: UnconfirmedOrder) -> None:
        """Note an order that is about to be sent.

        :raises OSError: when the note cannot be written; it is kept in memory all the same.
        """
        with self._lock:
            self._noted()[order.client_id] = order
            self._write(asdict(order), durable=True)

    def update(self, client_id: int, **changes: Any) -> None:
        """Change what is known of a noted order."""
        with self._lock:
            order = self._noted().get(client_id)
            if order is None:
                return
            changed = replace(order, **changes)
            self._noted()[client_id] = changed
            # Lost in a power cut, it is found out again.
            self._write_quietly(asdict(changed))

    def remove(self, client_id: int) -> None:
        """Forget an order: its row is in the database, or there is no such order."""
        with self._lock:
            if self._noted().pop(client_id, None) is not None:
                self._write_quietly({"client_id": client_id, "removed": True})

    def _noted(self) -> dict[int, UnconfirmedOrder]:
        if self._orders is None:
            self._orders = {} if self._path is None else _read(self._path)
        return self._orders

    def _write_quietly(self, line: Mapping[str, Any]) -> None:
        try:
            self._write(line, durable=False)
        except OSError as error:
            logger.warning(f"The order journal {self._path} cannot be written: {error}")

    def _write(self, line: Mapping[str, Any], *, durable: bool) -> None:
        if self._path is None:
            return
        # With nothing left to remember the file begins anew.
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if self._orders else os.O_TRUNC)
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if self._orders:
                # A line of its own, also behind one that a power cut tore.
                os.write(descriptor, b"\n" + json.dumps(line).encode() + b"\n")
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> dict[int, UnconfirmedOrder]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        logger.error(f"The order journal {path} cannot be read: {error}")
        return {}
    known = {field.name for field in fields(UnconfirmedOrder)}
    orders: dict[int, UnconfirmedOrder] = {}
    for line in filter(str.strip, text.splitlines()):
        try:
            found = json.loads(line)
            if found.get("removed"):
                orders.pop(found["client_id"], None)
            else:
                order = UnconfirmedOrder(**{k: v for k, v in found.items() if k in known})
                orders[order.client_id] = order
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            logger.warning(f"A line of the order journal {path} cannot be read: left out.")
    return orders


def journal_path(config: Mapping[str, Any]) -> Path | None:
    """Where a bot's journal is: beside its sqlite file, or in the user folder for a server's.

    None without a database that outlives the process.
    """
    db_url = config.get("db_url")
    if config.get("dry_run") or not db_url:
        return None
    url = make_url(db_url)
    if url.get_backend_name() == "sqlite":
        name = url.database or ":memory:"
        return None if ":memory:" in name else Path(name + SUFFIX)
    folder = config.get("user_data_dir")
    if folder is None:
        return None
    # Several bots may share the folder: each database has a journal.
    named = url.render_as_string(hide_password=True)
    return Path(folder) / f"{hashlib.sha256(named.encode()).hexdigest()[:12]}{SUFFIX}"


@dataclass
class OrderIntent:
    """The trade, tag and stake of the order that is to be sent; the trade is None for a new one."""

    trade_id: int | None = None
    tag: str | None = None
    stake_amount: float | None = None
    partial: bool = False
    is_exit: bool = False
    started: float = field(default_factory=time.monotonic)


_intent: contextvars.ContextVar[OrderIntent | None] = contextvars.ContextVar("intent", default=None)


def order_intent() -> OrderIntent:
    """The intent of the bot's method that is running in this thread; an empty one without any."""
    return _intent.get() or OrderIntent()


def follow_orders(bot: Any, done: Callable[[], None]) -> None:
    """Keep the intent of every order that the bot sends; ``done`` is called after each.

    The methods are wrapped on the bot object: they are the only place where the trade, the tag and
    the stake of an order are known together.
    """

    def enter(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = _arguments(method, args, kwargs)
        trade = given.get("trade")
        intent = OrderIntent(None if trade is None else trade.id, given.get("enter_tag"))
        with _intended(intent, done):
            return method(*args, **kwargs)

    def settle_terms(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = method(*args, **kwargs)
        intent = _intent.get()
        if intent is not None:
            intent.stake_amount = found[1]
        return found

    def leave(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = _arguments(method, args, kwargs)
        tag = given.get("exit_tag") or given["exit_check"].exit_reason
        partial = bool(given.get("sub_trade_amt"))
        with _intended(OrderIntent(given["trade"].id, tag, None, partial, is_exit=True), done):
            return method(*args, **kwargs)

    def stop(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = _arguments(method, args, kwargs)
        with _intended(OrderIntent(given["trade"].id), done):
            return method(*args, **kwargs)

    freqtrade_internals.wrap_method(bot, "execute_entry", enter)
    freqtrade_internals.wrap_method(bot, "get_valid_enter_price_and_stake", settle_terms)
    freqtrade_internals.wrap_method(bot, "execute_trade_exit", leave)
    freqtrade_internals.wrap_method(bot, "create_stoploss_order", stop)


def _arguments(method: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return dict(inspect.signature(method).bind(*args, **kwargs).arguments)


@contextmanager
def _intended(intent: OrderIntent, done: Callable[[], None]) -> Iterator[None]:
    token = _intent.set(intent)
    try:
        yield
    finally:
        _intent.reset(token)
        done()
