"""Everything that a WebSocket can do must pass through unchanged."""

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

sys.path.append(str(Path(__file__).parent.parent))
from checks import arguments, expect, run, trust, until

LARGE = 4 << 20


def opened(args, path, **options):
    """A connection to `path`; the URL's host is reached on this machine."""
    url = urlsplit(args.url)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    scheme = {"http": "ws", "https": "wss"}[url.scheme]
    return connect(
        f"{scheme}://{url.netloc}{path}", host="127.0.0.1", port=port,
        ssl=trust(args.url, args.ca), proxy=None, max_size=2 * LARGE, **options,
    )


async def text(args):
    """text comes back, whole and in fragments"""
    async with opened(args, "/echo") as ws:
        for word in ["", "hello", "grüße 🦦"]:
            await ws.send(word)
            expect("echo", await ws.recv(), word)
        await ws.send(["frag", "men", "ted"])
        expect("echo of fragments", await ws.recv(), "fragmented")


async def binary(args):
    """binary comes back, every byte value"""
    async with opened(args, "/echo") as ws:
        await ws.send(bytes(range(256)))
        expect("echo", await ws.recv(), bytes(range(256)))


async def large(args):
    """a message of 4 MiB comes back, with and without compression"""
    message = os.urandom(LARGE)
    for compression in ["deflate", None]:
        async with opened(args, "/echo", compression=compression) as ws:
            await ws.send(message)
            assert await ws.recv() == message, f"it is not the same, compression {compression}"


async def greeting(args):
    """what the server sends right behind its handshake is not lost"""
    for _ in range(20):
        async with opened(args, "/greet") as ws:
            expect("first message", await ws.recv(), "welcome")


async def client_pings(args):
    """the client's ping is answered"""
    async with opened(args, "/echo") as ws:
        await (await ws.ping(b"from the client"))


async def server_pings(args):
    """the server's ping is answered"""
    async with opened(args, "/ping") as ws:
        expect("message after the pong", await ws.recv(), "pong seen")


async def subprotocol(args):
    """the two agree on a subprotocol, or on none"""
    async with opened(args, "/echo", subprotocols=["other", "adit.v1"]) as ws:
        expect("subprotocol", ws.subprotocol, "adit.v1")
    async with opened(args, "/echo") as ws:
        expect("subprotocol", ws.subprotocol, None)


async def deflate(args):
    """permessage-deflate is agreed on when offered, and only then"""
    for compression, wanted in [("deflate", ["permessage-deflate"]), (None, [])]:
        async with opened(args, "/echo", compression=compression) as ws:
            expect("extensions", [e.name for e in ws.protocol.extensions], wanted)
            await ws.send("squeeze me " * 10_000)
            expect("echo", await ws.recv(), "squeeze me " * 10_000)


async def refused(args):
    """a refused handshake reaches the client with its status and body"""
    try:
        async with opened(args, "/nowhere"):
            raise AssertionError("it was accepted")
    except InvalidStatus as refusal:
        expect("status", refusal.response.status_code, 403)
        expect("body", refusal.response.body, b"no such path\n")


async def server_closes(args):
    """the server closes first, and the client sees its code and reason"""
    async with opened(args, "/close") as ws:
        expect("close", await closing(ws), (4001, "so long, café"))


async def server_vanishes(args):
    """the server vanishes, and the client sees no clean close"""
    async with opened(args, "/abort") as ws:
        expect("last message", await ws.recv(), "about to vanish")
        expect("close", await closing(ws), (1006, ""))


async def client_closes(args):
    """the client closes first, and the server sees its code and reason"""
    tag = uuid4().hex
    async with opened(args, f"/echo?tag={tag}") as ws:
        await ws.close(4002, "enough")
    expect("close", await seen_by_server(args, tag), [4002, "enough"])


async def client_vanishes(args):
    """the client vanishes, and the server learns it within 2 s"""
    tag = uuid4().hex
    async with opened(args, f"/echo?tag={tag}") as ws:
        await ws.send("about to vanish")
        await ws.recv()
        ws.transport.abort()
    expect("close", await seen_by_server(args, tag), [1006, ""])


async def closing(ws):
    """How `ws` was closed, once it is."""
    try:
        raise AssertionError(f"a message came: {await asyncio.wait_for(ws.recv(), 5)!r}")
    except ConnectionClosed:
        return ws.close_code, ws.close_reason


async def seen_by_server(args, tag):
    """How the server saw the connection with `tag` closed, told over another connection."""
    async def told():
        async with opened(args, "/closes") as ws:
            return json.loads(await ws.recv()).get(tag)

    return await until("the server did not see it closed", told, 2)


run([
    text, binary, large, greeting, client_pings, server_pings, subprotocol, deflate, refused,
    server_closes, server_vanishes, client_closes, client_vanishes,
], arguments().parse_args())
