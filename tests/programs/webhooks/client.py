"""Webhooks signed with slack_sdk and twilio, to an agent that lets only genuine ones through.

Its rules are at /echo/slack and /echo/twilio*; the origin is that of http/.
"""

import base64
import json
import sys
import time
from pathlib import Path

from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

sys.path.append(str(Path(__file__).parent.parent))
from checks import arguments, expect, run, visitor


async def slack(args):
    """what slack_sdk signs is genuine"""
    body = '{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}'
    now = str(int(time.time()))
    signature = SignatureVerifier(args.secret).generate_signature(timestamp=now, body=body)
    headers = {
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": signature,
        "Content-Type": "application/json",
    }
    await accepted(args, "slack", "echo/slack", headers, body)


async def twilio_form(args):
    """what twilio signs of a form and the public URL is genuine"""
    path = "echo/twilio?foo=1&bar=%2Fa%20b"
    fields = {"To": "+18005551212", "From": "+14158675309", "Body": "ä & b=c", "Empty": ""}
    body = "To=%2B18005551212&From=%2B14158675309&Body=%C3%A4+%26+b%3Dc&Empty="
    signature = RequestValidator(args.secret).compute_signature(f"{args.url}/{path}", fields)
    headers = {
        "X-Twilio-Signature": signature,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    await accepted(args, "twilio", path, headers, body)


async def twilio_json(args):
    """what twilio signs of a JSON body by its digest is genuine"""
    validator = RequestValidator(args.secret)
    body = '{"event":"x"}'
    path = f"echo/twilio?bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature(f"{args.url}/{path}", {})
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    await accepted(args, "twilio", path, headers, body)


async def accepted(args, provider, path, headers, body):
    from yarl import URL

    url = URL(f"{args.url}/{path}", encoded=True)
    async with visitor(args) as http:
        async with http.post(url, headers=headers, data=body.encode()) as response:
            text = await response.text()
            expect(f"status ({text[:200]})", response.status, 200)
            echo = json.loads(text)
        expect("body", base64.b64decode(echo["body"]).decode(), body)
        told = dict(zip(map(str.lower, echo["headers"][::2]), echo["headers"][1::2]))
        expect("signer", told.get("adit-webhook-verified", "").split(";")[0], provider)
        async with http.post(url, headers=headers, data=(body + "&x=y").encode()) as response:
            expect("status of another body", response.status, 401)


parser = arguments()
parser.add_argument("--secret", required=True, help="what everything is signed with")
args = parser.parse_args()
args.url = args.url.rstrip("/")
run([slack, twilio_form, twilio_json], args)
