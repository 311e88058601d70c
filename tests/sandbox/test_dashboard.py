"""The page at ``/``: what it is sent, and the page itself in a real browser."""

import json
import shutil

import pytest
import requests
import websockets.sync.client as ws

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SECONDS = 10_000

pytestmark = [pytest.mark.bitopro_sandbox(rate_limits=False), pytest.mark.timeout(120)]


def live(sandbox):
    return ws.connect(sandbox.url.replace("http", "ws") + "/_sandbox/live", proxy=None)


def test_a_page_is_sent_everything_and_then_what_changes(sandbox, trader, control):
    order = trader.placed(price="59990", amount="0.1")
    control.borrow("usdt", "5000")
    with live(sandbox) as socket:
        first = json.loads(socket.recv(timeout=5))
        assert first["started"] is True
        assert first["points"][-1]["ratio"] == pytest.approx(3)
        assert [line["path"] for line in first["requests"]] == ["/v3/margin/orders/btc_usdt"]
        assert [line["id"] for line in first["orders"]] == [order]
        assert ["59990", "0.1"] in [[p, own] for p, _, own in first["books"]["margin"]["bids"]]
        (usdt,) = [line for line in first["balances"] if line["currency"] == "USDT"]
        assert float(usdt["owed"]) == pytest.approx(5000)
        control.fill(order)
        control.add_fault("status", path="/margin/*")
        trader.get("/margin/balances")
        after = json.loads(socket.recv(timeout=5))
        while not after["requests"]:
            after = json.loads(socket.recv(timeout=5))
        assert (after["started"], after["orders"]) == (False, [])
        assert [line["status"] for line in after["requests"]] == [500]
        assert after["faults"][0]["hits"] == 1
        socket.send(json.dumps({"pair": "eth_usdt"}))
        while after["pair"] != "eth_usdt":
            after = json.loads(socket.recv(timeout=5))
        sandbox.reset()
        while not after["started"]:
            after = json.loads(socket.recv(timeout=5))
        assert after["requests"] == []


def test_the_page_is_no_part_of_the_exchange(sandbox, control):
    """It is neither logged nor hit by faults, and needs nothing from elsewhere."""
    control.add_fault("close", times=None)
    with live(sandbox) as socket:
        socket.recv(timeout=5)
        page = requests.get(sandbox.url + "/", timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "https://" not in page.text.replace("https://www.w3.org", "")
    assert control.requests() == []


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, sandbox):
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    page.set_default_timeout(SECONDS)
    errors, asked = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(sandbox.url + "/")
    page.wait_for_selector("#state.live")
    yield page
    page.close()
    # A control that is refused is shown on the page; the browser notes it too.
    assert [text for text in errors if "400 (Bad Request)" not in text] == []
    assert [url for url in asked if not url.startswith((sandbox.url, "data:"))] == []


def see(page, selector, text):
    page.locator(selector, has_text=text).first.wait_for(timeout=SECONDS)


def test_it_shows_the_account_and_follows(page, trader, control):
    see(page, "#ratio", "no debt")
    control.borrow("usdt", "5000")
    see(page, "#ratio", "3.000")
    see(page, "#label", "safety")
    control.set_price("btc_usdt", "61234.5")
    see(page, "#price", "61234.5")
    stop = trader.placed(
        action="BUY", type="STOP_LIMIT", price="62000", stopPrice="62500", condition=">="
    )
    see(page, "#orders tr", stop)
    see(page, "#orders tr", "stop limit >= 62500")
    see(page, "#log tr", "/v3/margin/orders/btc_usdt")
    control.cancel(stop)
    see(page, "#orders", "no open orders")


def test_its_buttons_steer(page, trader, control, sandbox):
    order = trader.placed(amount="0.1")
    page.fill("#newPrice", "60500.25")
    page.click("#priceForm button")
    see(page, "#price", "60500.25")
    page.click("#nudges button:has-text('+1 %')")
    see(page, "#price", "61105.25")
    page.click(f"#orders tr:has-text('{order}') button:has-text('Half')")
    see(page, "#orders tr", "0.05")
    assert control.order(order)["executedAmount"] == "0.05"
    page.click(f"#orders tr:has-text('{order}') button:has-text('Cancel')")
    see(page, "#orders", "no open orders")
    page.click("#rejectStop")
    see(page, "#pending", "1 stop")
    page.select_option("#kind", "process_close")
    page.fill("#path", "/margin/balances")
    page.click("#faultForm button.main")
    see(page, "#faults tr", "process_close")
    with pytest.raises(requests.ConnectionError):
        trader.get("/margin/balances")
    see(page, "#log tr", "dropped")
    page.click("#clearFaults")
    see(page, "#faults", "no faults set")
    page.select_option("#pair", "eth_usdt")
    see(page, ".pairName", "ETH/USDT")
    page.fill("#newPrice", "nonsense")
    page.click("#priceForm button")
    see(page, "#message", "price")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#reset")
    see(page, "#log", "no requests yet")
    assert sandbox.exchange.orders() == []


@pytest.mark.parametrize("width", [320, 480, 640, 820, 1024, 1280, 1920])
def test_it_fits_every_width_and_crops_no_number(page, trader, control, width):
    trader.placed(amount="0.12345678", price="50000.01")
    control.set_balances({"USDT": "123456789.12345678"}, kind="spot")
    control.borrow("btc", "0.12345678")
    page.set_viewport_size({"width": width, "height": 800})
    see(page, "#orders tr", "0.12345678")
    see(page, "#balances tr", "123456789.12345678")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cropped = page.evaluate(
        "[...document.querySelectorAll('.orders .scroll, .balances .scroll')]"
        ".filter(box => box.scrollWidth > box.clientWidth + 1).length"
    )
    assert cropped == 0


def test_text_from_outside_stays_text(page, trader):
    trader.get("/margin/orders/<img src=x onerror=document.title='hacked'>")
    see(page, "#log tr", "onerror")
    assert page.title() == "BitoPro sandbox"
    assert page.locator("#log img").count() == 0


def test_light_and_dark(page):
    def background():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = background()
    page.click("#theme")
    assert background() != dark
    page.reload()
    page.wait_for_selector("#state.live")
    assert background() != dark
