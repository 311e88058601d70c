"""Lists in ccxt's order: oldest first, the earliest from ``since``, or else the newest.

BitoPro lists the newest first and gives at most 1000 rows at a time, so the earliest rows from a
moment on are known only when every page back to it has been read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ccxt

from ..core.assumptions import HISTORY_DAYS
from ..core.endpoints import Endpoint
from .arguments import optional_limit, optional_moment
from .flow import Flow, MarginExchange, Params, Request, Structure
from .structures import parsed_rows, rows_of

PAGE: Final = 1000
"""The most rows that one request may bring."""

DEFAULT_PAGE: Final = 100
"""What a request brings that asks for no number; a shorter page is the last one."""

MAX_PAGES: Final = 200
"""Requests after which a list is cut, unless ``paginationCalls`` says otherwise."""

HISTORY_MS: Final = HISTORY_DAYS * 86_400_000


class Listing(list[Structure]):
    """The rows of a list; ``cut`` is None, or says which of those asked for are missing and why."""

    cut: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows are asked for: from ``since`` to ``until`` in ms, both included, and how many."""

    since: int | None = None
    until: int | None = None
    limit: int | None = None
    paginate: bool = False
    max_pages: int = MAX_PAGES
    page_size: int | None = None

    def select(self, rows: Iterable[Structure]) -> Listing:
        """The rows of the window, oldest first, of which the limit keeps some.

        With ``since`` the earliest are kept, without it the newest. Rows of the same millisecond as
        the last of the earliest are kept as well: whoever goes on at that time plus 1 misses none.
        ``rows`` run from the newest to the oldest where several have one time.
        """
        kept = sorted((row for row in reversed(list(rows)) if self.holds(row)), key=_time)
        if self.limit is None or len(kept) <= self.limit:
            return Listing(kept)
        if self.since is None:
            return Listing(kept[-self.limit :])
        last = _time(kept[self.limit - 1])
        rest = (row for row in kept[self.limit :] if _time(row) == last)
        return Listing([*kept[: self.limit], *rest])

    def tail(self, rows: Iterable[Structure]) -> list[Structure]:
        """The rows of the window in the order given, of which the limit keeps the last."""
        kept = [row for row in rows if self.holds(row)]
        return kept if self.limit is None else kept[-self.limit :]

    def holds(self, row: Structure) -> bool:
        """Whether a row lies between ``since`` and ``until``."""
        after = self.since is None or _time(row) >= self.since
        return after and (self.until is None or _time(row) <= self.until)


def _time(row: Structure) -> int:
    return row["timestamp"] or 0


def read_window(api: MarginExchange, since: Any, limit: Any, words: Params) -> Window:
    """Read the arguments of a list method.

    :raises ccxt.BadRequest: for what is no time, and for what is no number of rows.
    """
    until = words.get("until", words.get("endTimestamp"))
    return Window(
        optional_moment(api, "since", words.get("startTimestamp") if since is None else since),
        optional_moment(api, "until", until),
        optional_limit(api, limit),
        bool(words.get("paginate")),
        optional_limit(api, words.get("paginationCalls"), "paginationCalls") or MAX_PAGES,
        optional_limit(api, words.get("limit")),
    )


def whole_list(
    api: MarginExchange,
    answer: Any,
    name: str,
    parse: Callable[[Any], Structure | None],
    window: Window,
) -> Listing:
    """Select from an answer that holds the list as a whole, under ``name``.

    ``parse`` returns None for a row that was not asked for. The answer says how many rows there
    are: when it holds fewer, the listing is cut.
    """
    rows = rows_of(api, answer, name)
    found = parsed_rows(api, name, parse, rows)
    oldest_first = sorted(filter(None, found), key=_time)
    listing = window.select(reversed(oldest_first))
    total = answer.get(f"{name}Amount")
    if isinstance(total, int) and total > len(rows):
        _cut(api, listing, f"the exchange gave {len(rows)} of {total} {name}")
    return listing


_OURS: Final = frozenset({"startTimestamp", "endTimestamp", "limit"})


@dataclass(frozen=True, slots=True)
class Pages:
    """A list of the exchange's that comes page by page, newest first."""

    endpoint: Endpoint
    query: Mapping[str, Any]
    parse: Callable[[Any], Structure]
    cursor: str
    """The query's field for the id at which a page begins, where times do not get any further."""

    def fetch(
        self, api: MarginExchange, window: Window, wanted: Callable[[Structure], bool] | None = None
    ) -> Flow[Listing]:
        """Fetch the rows of the window of which ``wanted`` is true."""
        if window.since is not None and window.until is not None and window.since > window.until:
            return Listing()
        for name in _OURS & self.query.keys():
            raise ccxt.BadRequest(
                f"{api.id} since, until and limit narrow a list: leave {name!r} out of raw"
            )
        reader = _Reader(self, window, wanted)
        spans = list(_spans(window, api.exchange_time()))
        for start, end in spans:
            yield from reader.read(api, start, end)
            if reader.is_enough or reader.cut is not None:
                break
        listing = window.select(reader.rows)
        if reader.cut is not None:
            _cut(api, listing, reader.cut)
        return listing


def _spans(window: Window, now: int) -> Iterator[tuple[int | None, int | None]]:
    """The spans of time to ask for, the newest first: what is kept, and what lies before it.

    A span of more than 90 days is documented to be adjusted in an undefined way.
    """
    kept_from = now - HISTORY_MS
    since, until = window.since, window.until
    if since is None or since >= kept_from or (until is not None and until <= kept_from):
        yield since, until
    else:
        yield kept_from, until
        yield since, kept_from + 1


class _Reader:
    """Reads pages back in time until there is nothing more, or enough."""

    def __init__(
        self, pages: Pages, window: Window, wanted: Callable[[Structure], bool] | None
    ) -> None:
        self.pages = pages
        self.window = window
        self.wanted = wanted
        self.rows: list[Structure] = []
        """What is wanted, newest first."""
        self.cut: str | None = None
        self._seen: set[Any] = set()
        self._calls = 0

    @property
    def is_enough(self) -> bool:
        """Whether the newest rows are asked for and there are as many as that."""
        window = self.window
        return window.since is None and window.limit is not None and len(self.rows) >= window.limit

    @property
    def _is_single(self) -> bool:
        """Whether the newest rows are asked for, as many as one request brings."""
        window = self.window
        narrow = self.wanted is not None or window.paginate or window.since is not None
        return window.limit is None and not narrow

    def read(self, api: MarginExchange, start: int | None, end: int | None) -> Flow[None]:
        """Read the pages of a span of time."""
        request = dict(self.pages.query)
        if start is not None:
            request["startTimestamp"] = start
        if end is not None:
            request["endTimestamp"] = end
        size = self._size
        if size is not None:
            request["limit"] = size
        by_id = False
        while True:
            if self._calls >= self.window.max_pages:
                self.cut = f"the list goes on after {self._calls} requests: narrow since and until"
                return
            self._calls += 1
            rows = rows_of(api, (yield Request(self.pages.endpoint, request)))
            found = parsed_rows(api, "a list", self.pages.parse, rows)
            is_news = self._take(found)
            if self._is_single or self.is_enough or self._is_last(found, start):
                return
            if not is_news and by_id:
                if len(rows) in (size, DEFAULT_PAGE):
                    self.cut = "the exchange gives no way past its newest rows"
                return
            # Some exchanges leave the end of a span out, others do not; and where a page holds one
            # single moment, or times are not honoured, the id leads on.
            by_id = by_id or not is_news
            if by_id:
                request[self.pages.cursor] = found[-1]["id"]
            else:
                request["endTimestamp"] = min(_time(row) for row in found) + 1

    @property
    def _size(self) -> int | None:
        window = self.window
        if window.page_size is not None:
            return min(window.page_size, PAGE)
        if self._is_single:
            return None
        if window.since is None and window.limit is not None and self.wanted is None:
            return min(window.limit, PAGE)
        return PAGE

    def _take(self, found: list[Structure]) -> bool:
        """Keep the rows that are new, and say whether there are any."""
        fresh = []
        for row in found:
            # The two sides of a trade with oneself share its id.
            key = (row["id"], row.get("order"), row.get("side"))
            if key not in self._seen:
                self._seen.add(key)
                fresh.append(row)
        self.rows += [
            row
            for row in fresh
            if self.window.holds(row) and (self.wanted is None or self.wanted(row))
        ]
        return bool(fresh)

    def _is_last(self, found: list[Structure], start: int | None) -> bool:
        size = self._size
        shortest = DEFAULT_PAGE if size is None else min(size, DEFAULT_PAGE)
        if len(found) < shortest:
            return True
        return start is not None and min(_time(row) for row in found) < start


def _cut(api: MarginExchange, listing: Listing, reason: str) -> None:
    listing.cut = f"incomplete: {reason}"
    api.logger.warning("%s a list is %s", api.id, listing.cut)
