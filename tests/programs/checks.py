"""What the Python clients share: how a URL is reached, and how a check is reported.

A check is a coroutine function; its docstring is the sentence that must hold.
"""

import argparse
import asyncio
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

LIMIT = 20  # seconds for one check, far more than any needs


def arguments():
    """A parser that knows what every client takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url", help="the origin's own URL, or its public one")
    parser.add_argument("--ca", metavar="FILE", help="PEM certificate to trust for https")
    return parser


def trust(url, ca):
    """The TLS context for `url`, or None where it speaks no TLS."""
    secure = urlsplit(url).scheme in ("https", "wss")
    return ssl.create_default_context(cafile=ca) if secure else None


class Loopback(AbstractResolver):
    """Finds every name on this machine, as not every system does for NAME.localhost."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [dict(hostname=host, host="127.0.0.1", port=port,
                     family=socket.AF_INET, proto=0, flags=0)]

    async def close(self):
        pass


def visitor(args):
    """An HTTP client session for the URL in `args`."""
    tls = trust(args.url, args.ca)
    connector = aiohttp.TCPConnector(resolver=Loopback(), ssl=tls or True)
    return aiohttp.ClientSession(args.url.rstrip("/") + "/", connector=connector)


def expect(what, got, wanted):
    """Fails the check unless the two are equal."""
    if got != wanted:
        raise AssertionError(f"{what} is {shorten(got)}, not {shorten(wanted)}")


async def until(what, probe, seconds):
    """Waits until `probe()` answers something true, and fails the check after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.05)
    return seen


def run(checks, *given):
    """Runs every check, those after a failed one too, and ends the process: 0 if all hold."""
    sys.exit(asyncio.run(_count_failures(checks, given)) > 0)


async def _count_failures(checks, given):
    failures = 0
    for check in checks:
        try:
            await asyncio.wait_for(check(*given), LIMIT)
            print("ok  ", check.__doc__, flush=True)
        except Exception as error:
            failures += 1
            print(f"FAIL {check.__doc__}: {told(error)}", flush=True)
    return failures


def told(error):
    """The error in one line."""
    if isinstance(error, AssertionError):
        return str(error)
    if isinstance(error, asyncio.TimeoutError):
        return "it went on for too long"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def shorten(value):
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
