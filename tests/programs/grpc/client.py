"""All four forms of a gRPC call, its metadata, its failures and its end must pass through."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).parent.parent))
from checks import expect, run, until

EVERY_BYTE = bytes(range(256))


def opened(args):
    """A channel to the target, with the tunnel's name as its authority."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
    if args.authority:
        name = args.authority.partition(":")[0]
        options += [("grpc.default_authority", args.authority)]
        options += [("grpc.ssl_target_name_override", name)] if args.ca else []
    if args.ca:
        roots = grpc.ssl_channel_credentials(Path(args.ca).read_bytes())
        return grpc.aio.secure_channel(args.target, roots, options)
    return grpc.aio.insecure_channel(args.target, options)


async def unary(args):
    """a unary call, with metadata both ways, binary too"""
    async with opened(args) as channel:
        call = channel.unary_unary("/adit.Echo/Unary")(
            b"hello" * 100_000, metadata=[("x-word", "up"), ("x-byte-bin", EVERY_BYTE)])
        assert await call == b"hello" * 100_000, "the message is not the same"
        head = dict(await call.initial_metadata())
        expect("x-word-back", head.get("x-word-back"), "up")
        expect("x-byte-back-bin", head.get("x-byte-back-bin"), EVERY_BYTE)
        trailers = dict(await call.trailing_metadata())
        expect("x-length", trailers.get("x-length"), "500000")
        expect("x-start-bin", trailers.get("x-start-bin"), (b"hello" * 60)[:256])


async def many(args):
    """a hundred unary calls at once"""
    async with opened(args) as channel:
        echo = channel.unary_unary("/adit.Echo/Unary")
        words = [f"call {n}".encode() for n in range(100)]
        expect("answers", await asyncio.gather(*map(echo, words)), words)


async def download(args):
    """server streaming: 1,000 messages in order"""
    async with opened(args) as channel:
        call = channel.unary_stream("/adit.Echo/Download")(b"1000")
        expect("messages", [int(m) async for m in call], list(range(1000)))


async def upload(args):
    """client streaming: 1,000 messages in order"""
    words = [str(n).encode() for n in range(1000)]
    async with opened(args) as channel:
        call = channel.stream_unary("/adit.Echo/Upload")(iter(words))
        expect("joined", await call, b",".join(words))


async def chat(args):
    """bidirectional: each message goes out after the one before it was answered"""
    async with opened(args) as channel:
        call = channel.stream_stream("/adit.Echo/Chat")()
        for word in ["ping", "pong", "over"] * 10:
            await call.write(word.encode())
            answer = await asyncio.wait_for(call.read(), 5)
            expect("answer", answer, word.upper().encode())
        await call.done_writing()
        expect("end", await call.read(), grpc.aio.EOF)
        expect("status", await call.code(), grpc.StatusCode.OK)


async def fail(args):
    """a failure before any message: code, message and details arrive"""
    async with opened(args) as channel:
        await failed(channel.unary_unary("/adit.Echo/Fail")(b""))


async def fail_late(args):
    """a failure after two messages: they arrive, and so do code, message and details"""
    async with opened(args) as channel:
        call = channel.unary_stream("/adit.Echo/FailLate")(b"")
        expect("messages", [await call.read(), await call.read()], [b"one", b"two"])
        await failed(call.read())


async def failed(answer):
    error = await failure(answer)
    expect("code", error.code(), grpc.StatusCode.FAILED_PRECONDITION)
    expect("message", error.details(), "kein Kaffee, 100 % leer: ☕")
    trailers = dict(error.trailing_metadata())
    expect("details", trailers.get("grpc-status-details-bin"), EVERY_BYTE)
    expect("x-reason", trailers.get("x-reason"), "empty")


async def failure(answer):
    """The error that `answer` ends in."""
    try:
        message = await answer
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"it answered {message!r}")


async def unknown(args):
    """a method that does not exist is answered by the server itself"""
    async with opened(args) as channel:
        error = await failure(channel.unary_unary("/adit.Echo/No")(b""))
        expect("code", error.code(), grpc.StatusCode.UNIMPLEMENTED)


async def deadline(args):
    """a deadline that passes ends the call at both ends"""
    async with opened(args) as channel:
        before = await cancellations(channel)
        began = time.monotonic()
        error = await failure(channel.unary_unary("/adit.Echo/Hang")(b"", timeout=0.5))
        expect("code", error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert time.monotonic() - began < 3, "the client waited too long"
        await cancelled_since(channel, before)


async def cancel(args):
    """a call without deadline that the client cancels is cancelled at the server"""
    # The server keeps the deadline by its own clock too; only this shows that a reset arrives.
    async with opened(args) as channel:
        before = await cancellations(channel)
        call = channel.unary_unary("/adit.Echo/Hang")(b"")
        await asyncio.sleep(0.3)
        expect("cancelled too early", await cancellations(channel), before)
        call.cancel()
        await cancelled_since(channel, before)


async def cancellations(channel):
    return int(await channel.unary_unary("/adit.Echo/Cancellations")(b""))


async def cancelled_since(channel, before):
    async def more():
        return await cancellations(channel) > before

    await until("the server saw no cancellation", more, 5)


parser = argparse.ArgumentParser()
parser.add_argument("target", help="HOST:PORT to connect to")
parser.add_argument("--authority", help="NAME.localhost[:PORT], where it is not the target")
parser.add_argument("--ca", metavar="FILE", help="speak TLS, and trust this PEM certificate")
run([
    unary, many, download, upload, chat, fail, fail_late, unknown, deadline, cancel,
], parser.parse_args())
