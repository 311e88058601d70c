"""The three classes: registration, implicit methods in both spellings, credentials."""

import subprocess
import sys

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from bitopro_margin_ext.core.endpoints import ENDPOINTS
from bitopro_margin_ext.exchange import register

MODULES = (ccxt, ccxt.async_support, ccxt.pro)
MARGIN_METHODS = (
    "cancelAllOrders",
    "cancelAllMarginOrders",
    "cancelOrder",
    "cancelOrders",
    "cancelOrdersForSymbols",
    "cancelAndConfirm",
    "createOrder",
    "fetchOrder",
    "fetchOpenOrders",
    "fetchOrders",
    "fetchClosedOrders",
    "fetchCanceledOrders",
    "fetchCanceledAndClosedOrders",
    "fetchMyTrades",
    "fetchOrderTrades",
    "fetchBalance",
)


@pytest.mark.parametrize("module", MODULES)
def test_registering_twice_lists_the_class_once(module):
    register()
    register()
    assert module.exchanges.count("bitopromargin") == 1
    assert issubclass(module.bitopromargin, module.bitopro)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.implicit)
def test_both_spellings_of_every_implicit_method(module, endpoint):
    # A second object: ccxt's constructor goes through the attributes of the class each time.
    for _ in range(2):
        exchange = module.bitopromargin({"apiKey": "k" * 8, "secret": "s" * 8})
        snake, camel = (
            getattr(exchange, name) for name in (endpoint.implicit_snake, endpoint.implicit)
        )
        asked = []
        exchange.request = lambda *args, asked=asked, **kwargs: asked.append((args, kwargs))
        for method in (snake, camel):
            returned = method({"pair": "btc_usdt"})
            if hasattr(returned, "close"):
                with pytest.raises((TypeError, StopIteration)):
                    returned.send(None)
        assert len(asked) == 2
        assert asked[0] == asked[1]
        path, api, method = asked[0][0][:3]
        assert (path, list([api] if isinstance(api, str) else api), method) == (
            endpoint.path,
            ["private"],
            endpoint.method,
        )


@pytest.mark.parametrize("module", MODULES)
def test_the_class_itself_answers_to_both_spellings(module):
    for endpoint in ENDPOINTS:
        assert hasattr(module.bitopromargin, endpoint.implicit_snake)
        assert hasattr(module.bitopromargin, endpoint.implicit)


@pytest.mark.parametrize("module", MODULES)
def test_the_camel_case_of_unified_methods_is_ours(module):
    exchange = module.bitopromargin()
    for camel in MARGIN_METHODS:
        snake = exchange.un_camel_case(camel)
        assert getattr(exchange, camel) == getattr(exchange, snake)
        assert getattr(module.bitopromargin, snake).__module__.startswith("bitopro_margin_ext")
        if camel in exchange.has:
            assert exchange.has[camel] is True


@pytest.mark.parametrize("module", MODULES)
def test_keys_suffice_for_rest(module):
    exchange = module.bitopromargin({"apiKey": "k" * 8, "secret": "s" * 8})
    assert exchange.check_required_credentials()
    with pytest.raises(ccxt.AuthenticationError):
        module.bitopromargin({"apiKey": "k" * 8}).check_required_credentials()


@pytest.mark.parametrize("module", MODULES)
def test_parameters_of_the_path_are_asked_for(module):
    exchange = module.bitopromargin({"apiKey": "k" * 8, "secret": "s" * 8})
    with pytest.raises(ccxt.ArgumentsRequired, match=r"privateDeleteMarginOrdersPair.*'pair'"):
        exchange.sign("margin/orders/{pair}", ["private"], "DELETE", {})
    with pytest.raises(ccxt.BadRequest, match="'all' is not a pair"):
        exchange.sign("margin/orders/{pair}", ["private"], "DELETE", {"pair": "all"})


def test_importing_the_package_imports_no_host():
    code = (
        "import sys, bitopro_margin_ext, bitopro_margin_ext.core.sweep;"
        "print({'ccxt', 'freqtrade', 'pandas', 'aiohttp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
