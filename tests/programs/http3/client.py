"""aioquic as a visitor over HTTP/3."""

import asyncio
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, StreamReset

from checks import arguments, expect, run


class Client(QuicConnectionProtocol):
    """One connection; each exchange is a queue of its events."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.http = None
        self.streams = {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if isinstance(event, StreamReset) and event.stream_id in self.streams:
            self.streams[event.stream_id].put_nowait(event)
        for seen in self.http.handle_event(event) if self.http else ():
            if isinstance(seen, (HeadersReceived, DataReceived)):
                self.streams[seen.stream_id].put_nowait(seen)

    def begin(self, fields, end):
        stream = self._quic.get_next_available_stream_id()
        self.streams[stream] = asyncio.Queue()
        self.http.send_headers(stream, fields, end_stream=end)
        self.transmit()
        return stream

    def send(self, stream, data, end):
        self.http.send_data(stream, data, end)
        self.transmit()

    async def whole(self, stream):
        """Heads, body and what follows it, until the end of the stream."""
        heads, body = [], b""
        while True:
            event = await self.streams[stream].get()
            if isinstance(event, StreamReset):
                raise ConnectionError(f"reset: {event.error_code:#x}")
            if isinstance(event, HeadersReceived):
                heads.append(dict(event.headers))
            else:
                body += event.data
            if event.stream_ended:
                return heads, body


def fields(url, method, path, *more):
    authority = urlsplit(url).netloc
    pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
    return [(name.encode(), value.encode()) for name, value in [*pseudo, *more]]


async def bytes_come_whole(client, url):
    """a response of a megabyte is whole"""
    heads, body = await client.whole(client.begin(fields(url, "GET", "/bytes/1000000"), True))
    expect("status", heads[0][b":status"], b"200")
    expect("body", body == bytes(i % 251 for i in range(1_000_000)), True)


async def chunks_come_whole(client, url):
    """a response in chunks is whole"""
    _, body = await client.whole(client.begin(fields(url, "GET", "/chunked/100000/777"), True))
    expect("body", body == bytes(i % 251 for i in range(100_000)), True)


async def uploads_arrive(client, url):
    """an upload arrives as it was sent"""
    stream = client.begin(fields(url, "POST", "/continue"), False)
    for _ in range(50):
        client.send(stream, b"x" * 10_000, False)
        await asyncio.sleep(0)
    client.send(stream, b"", True)
    heads, body = await client.whole(stream)
    expect("status", heads[-1][b":status"], b"200")
    expect("length", b"500000" in body, True)


async def many_at_once(client, url):
    """three hundred requests share the connection"""
    streams = [client.begin(fields(url, "GET", f"/bytes/{n}"), True) for n in range(300)]
    for n, stream in enumerate(streams):
        _, body = await client.whole(stream)
        expect(f"length of {n}", len(body), n)


async def hints_come_early(client, url):
    """early hints and trailers come through"""
    heads, _ = await client.whole(client.begin(fields(url, "GET", "/early"), True))
    expect("heads", [head[b":status"] for head in heads], [b"103", b"200"])
    heads, _ = await client.whole(client.begin(fields(url, "GET", "/trailers"), True))
    expect("trailer", heads[1][b"x-checksum"], b"abc123")


async def cuts_are_seen(client, url):
    """half a response is an error"""
    for path in ("/half", "/half-chunked"):
        try:
            await client.whole(client.begin(fields(url, "GET", path), True))
        except ConnectionError:
            continue
        raise AssertionError(f"{path} looks whole")


async def main(check):
    args = arguments().parse_args()
    url = urlsplit(args.url)
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=url.hostname)
    configuration.load_verify_locations(args.ca)
    configuration.verify_mode = ssl.CERT_REQUIRED
    async with connect("127.0.0.1", url.port, configuration=configuration,
                       create_protocol=Client) as client:
        await check(client, args.url)


def on_its_own(check):
    async def checked():
        await main(check)
    checked.__doc__ = check.__doc__
    return checked


run([on_its_own(check) for check in (bytes_come_whole, chunks_come_whole, uploads_arrive,
                                     many_at_once, hints_come_early, cuts_are_seen)])
