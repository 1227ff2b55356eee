"""Server-sent events must come one by one, and the origin must learn when nobody listens."""

import json
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

sys.path.append(str(Path(__file__).parent.parent))
from checks import arguments, expect, run, until, visitor


@asynccontextmanager
async def listen(http, path):
    """An open stream, as an async iterator of (seconds on the way, moment of arrival, n)."""
    async with http.get(path, headers={"Accept": "text/event-stream"}) as response:
        expect("status", response.status, 200)
        expect("content type", response.content_type, "text/event-stream")
        yield arrivals(response)
        response.close()  # leave in the middle of the stream


async def arrivals(response):
    async for line in response.content:
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            yield time.time() - event["sent"], time.monotonic(), event["n"]


async def first(args):
    """the first event comes at once, long before the second is sent"""
    async with visitor(args) as http, listen(http, "events") as events:
        late, _, n = await anext(events)
    expect("number of the first event", n, 1)
    assert late < 0.15, f"it took {late * 1000:.0f} ms"


async def spaced(args):
    """five events come one by one, as they are sent"""
    async with visitor(args) as http, listen(http, "events") as events:
        seen = [await anext(events) for _ in range(5)]
    expect("numbers", [n for _, _, n in seen], [1, 2, 3, 4, 5])
    moments = [moment for _, moment, _ in seen]
    gaps = [b - a for a, b in zip(moments, moments[1:])]
    assert min(gaps) > 0.15, f"they came in a burst, with gaps of {gaps}"
    assert max(late for late, _, _ in seen) < 0.15, f"delays were {[late for late, _, _ in seen]}"


async def leave_ticking(args):
    """the origin of a busy stream notices within 2 s that the client left"""
    await leave(args, "events")


async def leave_silent(args):
    """the origin of a silent stream notices within 2 s that the client left"""
    await leave(args, "silent")


async def leave(args, path):
    tag = uuid4().hex
    async with visitor(args) as http:
        async def noticed():
            async with http.get("closed") as response:
                return tag in (await response.json())["tags"]

        async with listen(http, f"{path}?tag={tag}") as events:
            await anext(events)
            expect("gone before it left", await noticed(), False)
        await until("the origin did not notice", noticed, 2)


run([first, spaced, leave_ticking, leave_silent], arguments().parse_args())
