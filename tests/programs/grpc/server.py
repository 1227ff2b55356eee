"""A gRPC origin in plain HTTP/2. Messages are bare bytes, so there is no schema to compile."""

import asyncio
import os

import grpc

cancelled = 0


async def unary(message, context):
    """Echoes the message, and the metadata whose keys start with `x-`, as `x-...-back`."""
    await context.send_initial_metadata([
        (back(key), value) for key, value in context.invocation_metadata() if key.startswith("x-")
    ])
    context.set_trailing_metadata([("x-length", str(len(message))), ("x-start-bin", message[:256])])
    return message


def back(key):
    # A value may be binary only under a key that ends in -bin.
    return key.removesuffix("-bin") + "-back" + ("-bin" if key.endswith("-bin") else "")


async def download(message, _context):
    """As many messages as asked for."""
    for n in range(int(message)):
        yield str(n).encode()


async def upload(messages, _context):
    """All messages joined."""
    return b",".join([message async for message in messages])


async def chat(messages, _context):
    """Answers each message before it reads the next."""
    async for message in messages:
        yield message.upper()


FAILURE = dict(
    code=grpc.StatusCode.FAILED_PRECONDITION,
    details="kein Kaffee, 100 % leer: ☕",
    trailing_metadata=(("grpc-status-details-bin", bytes(range(256))), ("x-reason", "empty")),
)


async def fail(_message, context):
    """Fails before it has answered anything: head and trailers are then one."""
    await context.abort(**FAILURE)


async def fail_late(_message, context):
    """Fails after two messages."""
    yield b"one"
    yield b"two"
    await context.abort(**FAILURE)


async def hang(_message, _context):
    """Never answers, and counts each time that it is cancelled."""
    global cancelled
    try:
        await asyncio.sleep(300)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return b""


async def cancellations(_message, _context):
    return str(cancelled).encode()


async def main():
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("adit.Echo", {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Download": grpc.unary_stream_rpc_method_handler(download),
        "Upload": grpc.stream_unary_rpc_method_handler(upload),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
        "Hang": grpc.unary_unary_rpc_method_handler(hang),
        "Cancellations": grpc.unary_unary_rpc_method_handler(cancellations),
    })])
    port = server.add_insecure_port(f"127.0.0.1:{os.environ.get('PORT') or 0}")
    await server.start()
    print("listening", port, flush=True)
    await server.wait_for_termination()


asyncio.run(main())
