"""What a Flask app believes about its own address must be the public truth."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from checks import arguments, expect, run, visitor

# Directly an app must believe these, so they are sent only where something must drop them.
FORGED = {
    "X-Forwarded-For": "192.0.2.66",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "forged.example",
    "Forwarded": "for=192.0.2.66;proto=gopher;host=forged.example",
}


async def plain(args):
    """the app knows the public scheme, host, client address and its own URL"""
    await compare(args, {})


async def forged(args):
    """forwarding headers that the visitor made up are not believed"""
    await compare(args, FORGED)


async def compare(args, headers):
    async with visitor(args) as http, http.get("who", headers=headers) as response:
        expect("status", response.status, 200)
        who = await response.json()
    expect("scheme", who["scheme"], args.scheme)
    expect("host", who["host"], args.host)
    expect("client address", who["addr"], args.addr)
    expect("own URL", who["url"], f"{args.scheme}://{args.host}/who")


parser = arguments()
parser.add_argument("--scheme", required=True, help="what the app must take for its scheme")
parser.add_argument("--host", required=True, help="... for its host, with the port unless default")
parser.add_argument("--addr", required=True, help="... for the client's address")
parser.add_argument("--forge", action="store_true", help="also send made-up forwarding headers")
args = parser.parse_args()
run([plain, forged] if args.forge else [plain], args)
