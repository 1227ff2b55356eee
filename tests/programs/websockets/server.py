"""A WebSocket origin: echo, and one path for each thing that an echo cannot show."""

import asyncio
import json
import os
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

closes = {}  # how each connection that had a `tag` was closed


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def greet(ws):
    """Speaks first, right behind the handshake."""
    await ws.send("welcome")
    await echo(ws)


async def ping(ws):
    """Pings the client, and says so once it has answered."""
    await (await ws.ping(b"from the server"))
    await ws.send("pong seen")


async def close(ws):
    await ws.close(4001, "so long, café")


async def abort(ws):
    """Vanishes in the middle of a connection."""
    await ws.send("about to vanish")
    ws.transport.abort()


async def tell_closes(ws):
    await ws.send(json.dumps(closes))


PATHS = {
    "/echo": echo, "/greet": greet, "/ping": ping,
    "/close": close, "/abort": abort, "/closes": tell_closes,
}


def refuse_unknown(ws, request):
    if urlsplit(request.path).path not in PATHS:
        return ws.respond(HTTPStatus.FORBIDDEN, "no such path\n")


def agree(_ws, offered):
    """The first subprotocol of ours that is offered. Without this, a client must offer one."""
    return next((ours for ours in ["adit.v2", "adit.v1"] if ours in offered), None)


async def handle(ws):
    url = urlsplit(ws.request.path)
    try:
        await PATHS[url.path](ws)
    except ConnectionClosed:
        pass
    if tag := parse_qs(url.query).get("tag"):
        await ws.wait_closed()
        closes[tag[0]] = [ws.close_code, ws.close_reason]


async def main():
    port = int(os.environ.get("PORT") or 0)
    async with serve(
        handle, "127.0.0.1", port,
        process_request=refuse_unknown,
        select_subprotocol=agree,
        max_size=8 << 20,
    ) as server:
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
