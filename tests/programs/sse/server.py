"""Server-sent events: one at once, then one every 300 ms."""

import asyncio
import json
import os
import time

from aiohttp import web

closed = []  # the `tag` of every stream whose client has gone


async def stream(request, events):
    """Answers with `events` until the client goes."""
    response = web.StreamResponse(headers={
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
    })
    try:
        await response.prepare(request)
        async for event in events:
            await response.write(event)
    finally:
        closed.append(request.query.get("tag"))
    return response


def event(n):
    # The client sits on the same machine, so it can tell the delay by the same clock.
    return f"id: {n}\ndata: {json.dumps({'n': n, 'sent': time.time()})}\n\n".encode()


async def ticking():
    for n in range(1, 1000):
        yield event(n)
        await asyncio.sleep(0.3)


async def falling_silent():
    """One event and then nothing, so that no failed write can tell that the client left."""
    yield event(1)
    await asyncio.sleep(300)


async def tell_closed(_request):
    return web.json_response({"count": len(closed), "tags": closed})


async def main():
    app = web.Application()
    app.router.add_get("/events", lambda request: stream(request, ticking()))
    app.router.add_get("/silent", lambda request: stream(request, falling_silent()))
    app.router.add_get("/closed", tell_closed)
    # With `handler_cancellation` a handler ends as soon as its client has gone.
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ.get("PORT") or 0)).start()
    print("listening", runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
