"""How a unified method is made of its flow: for which account it is, and what its users see.

Here, and nowhere else, a call for the spot account is told from one for the margin account.
"""

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from .arguments import margin_params
from .call_scope import SCOPE
from .flow import NO_PARAMS, Flow, Inherited
from .margin_exchange import MarginExchange

P = ParamSpec("P")
R = TypeVar("R")

SPOT_TOO: Final = frozenset(
    {
        "cancel_all_orders",
        "cancel_order",
        "cancel_orders",
        "cancel_orders_for_symbols",
        "create_order",
        "create_orders",
        "fetch_balance",
        "fetch_canceled_and_closed_orders",
        "fetch_canceled_orders",
        "fetch_closed_orders",
        "fetch_my_trades",
        "fetch_open_orders",
        "fetch_order",
        "fetch_order_trades",
        "fetch_orders",
    }
)
"""The methods that the spot account has too, as ``ccxt.bitopro`` has them or refuses them. ``type``
or ``options.defaultType`` chooses; every other method is for the margin account alone."""


def account_chosen(
    method: Callable[Concatenate[Any, P], Flow[R]],
) -> Callable[Concatenate[Any, P], Flow[R]]:
    """Return what starts a method's flow, or for the spot account that of the inherited method.

    What an inherited method calls in turn is for the spot account as well.
    """
    name = method.__name__
    if name not in SPOT_TOO:
        return method
    place = list(inspect.signature(method).parameters).index("params") - 1

    @functools.wraps(method)
    def start(api: MarginExchange, /, *args: Any, **kwargs: Any) -> Flow[R]:
        if SCOPE.get().inherited:
            return _inherited(name, args, kwargs)
        is_given_by_place = len(args) > place
        given = args[place] if is_given_by_place else kwargs.get("params", NO_PARAMS)
        margin, rest = margin_params(api, given)
        if margin:
            rest["type"] = "margin"
        if is_given_by_place:
            args = (*args[:place], rest, *args[place + 1 :])
        else:
            kwargs = {**kwargs, "params": rest}
        return method(api, *args, **kwargs) if margin else _inherited(name, args, kwargs)

    return typing.cast(Callable[Concatenate[Any, P], Flow[R]], start)


def _inherited(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
    return (yield Inherited(name, args, kwargs))


def present_as_method(run: Any, method: Callable[..., Flow[Any]]) -> None:
    """Give ``run`` the signature that its users see: of a method that returns the flow's result."""
    signature = inspect.signature(method)
    first, *others = signature.parameters.values()
    flow = signature.return_annotation
    returned = typing.get_args(flow)[-1] if typing.get_args(flow) else flow
    parameters = [first.replace(name="self", annotation=inspect.Parameter.empty), *others]
    run.__signature__ = inspect.Signature(parameters, return_annotation=returned)
    run.__annotations__ = {
        **{p.name: p.annotation for p in others if p.annotation is not p.empty},
        "return": returned,
    }
    # What follows ``__wrapped__`` would show the flow.
    del run.__wrapped__
