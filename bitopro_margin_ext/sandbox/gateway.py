"""The front door: every request passes here, meets latency, faults and limits, and is logged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from email.utils import formatdate
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from . import CONTROL_PREFIX
from .auth import KEY_HEADER, Limits
from .call import Call, Line, RequestLog
from .fault_effects import Answer, Effects, corrupt_body, refused, replacement
from .faults import Faults, Rule
from .state import Exchange, Reason

LAST_ANSWERS = 256


class Gateway:
    """Wraps the application. Control calls pass untouched, so that tests can always steer."""

    def __init__(
        self, app: ASGIApp, exchange: Exchange, faults: Faults, limits: Limits, log: RequestLog
    ) -> None:
        self._app = app
        self._exchange = exchange
        self._faults = faults
        self._limits = limits
        self._log = log
        self._last_answers: dict[tuple[object, ...], Answer] = {}

    def forget(self) -> None:
        """Forget the last answers."""
        self._last_answers.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one connection in."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # BitoPro's own SDK sends PUT /orders/ with the slash.
        scope["path"] = scope["path"].rstrip("/") or "/"
        call = Call()
        scope.setdefault("state", {})["call"] = call
        steering = scope["path"] == "/" or scope["path"].startswith(CONTROL_PREFIX)
        if scope["type"] == "websocket":
            if steering:
                await self._app(scope, receive, send)
            else:
                await self._handshake(scope, receive, send, call)
            return
        call.body = await _body(receive)
        if steering:
            answer = await self._process(scope, call)
            await self._send(send, answer, call)
            return
        await self._serve(scope, receive, send, call)

    async def _handshake(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        """Let the faults that make sense there hit a handshake; their method is WS."""
        rules = call.rules = self._faults.strike("WS", scope["path"])
        Effects(self._exchange, call, rules, scope["path"], None).before()
        await _pause(self._exchange.switches.latency_ms / 1000 + _delay(rules, "before"))
        if _has(rules, "close"):
            scope["state"]["transport"].abort()
            return
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        method, path = scope["method"], scope["path"]
        clock = self._exchange.clock
        line = self._log.open(
            clock.now_ms(), method, path, scope["query_string"].decode(), call.body
        )
        began = time.monotonic()
        rules = self._faults.strike(method, path)
        line.faults = [rule.kind for rule in rules]
        half_trip = self._exchange.switches.latency_ms / 2000
        await _pause(half_trip + _delay(rules, "before"))
        answer = None
        # What was held back while everything was reset is not carried out in the new world.
        if not _has(rules, "close") and self._exchange.clock is clock:
            answer = await self._judge(scope, call, line, rules)
            await _pause(half_trip + _delay(rules, "after"))
        line.account = call.email
        line.done = True
        line.duration_ms = round((time.monotonic() - began) * 1000, 3)
        if answer is None or _has(rules, "process_close"):
            await _drop(scope, receive)
            return
        line.status = answer.status
        drip = next((rule for rule in rules if rule.kind == "drip"), None)
        await self._send(
            send,
            answer,
            call,
            pause=drip.seconds if drip else None,
            transport=scope["state"].get("transport"),
            half=_has(rules, "cut_off"),
        )
        if _has(rules, "cut_off"):
            await _drop(scope, receive, flush=True)

    async def _judge(self, scope: Scope, call: Call, line: Line, rules: list[Rule]) -> Answer:
        method, path = scope["method"], scope["path"]
        instead = next((rule for rule in rules if rule.kind == "status"), None)
        if instead is not None and not instead.fault.process:
            return replacement(instead)
        sender = self._account_named(scope)
        if self._exchange.switches.rate_limits:
            address = scope["client"][0] if scope.get("client") else ""
            now = self._exchange.clock.now_ms()
            if self._limits.exceeded(method, path, address, sender, now):
                line.limited = True
                return refused(Reason.TOO_MANY_REQUESTS())
        effects = Effects(self._exchange, call, rules, path, sender)
        answer = effects.before()
        if answer is None:
            answer = await self._process(scope, call)
            effects.after()
        if instead is not None:
            return replacement(instead)
        return self._remembered((sender, method, path, scope["query_string"]), answer, rules)

    def _remembered(self, call: tuple[object, ...], answer: Answer, rules: list[Rule]) -> Answer:
        """Corrupt the answer, or give the last one once more; and keep what is given."""
        if _has(rules, "repeat_last"):
            answer = self._last_answers.get(call, answer)
        answer = corrupt_body(answer, rules)
        self._last_answers[call] = answer
        if len(self._last_answers) > LAST_ANSWERS:
            del self._last_answers[next(iter(self._last_answers))]
        return answer

    async def _process(self, scope: Scope, call: Call) -> Answer:
        """Run the application and keep its response instead of sending it."""
        status, headers, chunks = 500, {}, []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": call.body, "more_body": False}

        async def keep(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers.update({k.decode(): v.decode() for k, v in message["headers"]})
            else:
                chunks.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        return Answer(status, b"".join(chunks), headers)

    async def _send(
        self,
        send: Send,
        answer: Answer,
        call: Call,
        *,
        pause: float | None = None,
        transport: asyncio.Transport | None = None,
        half: bool = False,
    ) -> None:
        moment = (self._exchange.clock.now_ms() + call.clock_shift_ms) / 1000
        headers = {
            **answer.headers,
            "content-length": str(len(answer.body)),
            "date": formatdate(moment, usegmt=True),
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        if half:
            part = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.body", "body": part, "more_body": True})
            return
        if pause is not None:
            for i in range(len(answer.body)):
                if transport is not None and transport.is_closing():
                    return  # the client has left
                byte = answer.body[i : i + 1]
                await send({"type": "http.response.body", "body": byte, "more_body": True})
                await asyncio.sleep(pause)
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.body", "body": answer.body})

    def _account_named(self, scope: Scope) -> str | None:
        for name, value in scope["headers"]:
            if name == KEY_HEADER.encode():
                key = self._exchange.keys.get(value.decode(errors="replace"))
                return key.email if key else None
        return None


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _drop(scope: Scope, receive: Receive, *, flush: bool = False) -> None:
    """Close the TCP connection under the client, without a word of HTTP."""
    transport = scope["state"]["transport"]
    if flush:
        transport.close()
    else:
        transport.abort()
    # The server must have noticed before the application returns without a response.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _delay(rules: list[Rule], when: str) -> float:
    return sum(rule.seconds for rule in rules if rule.kind == "delay" and rule.fault.when == when)


def _has(rules: list[Rule], kind: str) -> bool:
    return any(rule.kind == kind for rule in rules)
