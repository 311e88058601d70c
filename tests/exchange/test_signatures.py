"""What ``help()`` and an editor show of every method: its own signature, not a flow of steps."""

import inspect
import pydoc

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from bitopro_margin_ext.core.report import CancelReport
from bitopro_margin_ext.exchange import register, sync
from bitopro_margin_ext.exchange.flow import Flow, Step

register()

MODULES = (ccxt, ccxt.async_support, ccxt.pro)
UNIFIED = sorted(
    name
    for name, member in vars(sync.bitopromargin).items()
    if not name.startswith("_") and inspect.isfunction(member)
)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
@pytest.mark.parametrize("method", UNIFIED)
def test_a_method_shows_what_its_user_gets(module, method):
    member = getattr(module.bitopromargin, method)
    signature = inspect.signature(member)
    assert next(iter(signature.parameters)) == "self"
    assert "api" not in signature.parameters
    returned = signature.return_annotation
    assert returned is not inspect.Signature.empty
    assert Flow not in (returned, getattr(returned, "__origin__", None))
    shown = pydoc.plain(pydoc.render_doc(member))
    for word in ("Generator", "Flow", Step.__name__ if hasattr(Step, "__name__") else "Inherited"):
        assert word not in shown.splitlines()[2]
    assert inspect.iscoroutinefunction(member) is (module is not ccxt)
    assert member.__doc__
    assert not hasattr(member, "__wrapped__")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_on_an_object_and_in_camel_case_too(module):
    exchange = module.bitopromargin()
    for name in ("cancel_all_orders", "cancelAllOrders"):
        signature = inspect.signature(getattr(exchange, name))
        assert list(signature.parameters) == ["symbol", "params"]
        assert signature.return_annotation == list[dict[str, object]] or "list" in str(signature)
    assert inspect.signature(exchange.cancel_and_confirm).return_annotation is CancelReport
