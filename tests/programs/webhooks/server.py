"""A listener that verifies with slack_sdk, at /slack: 204 when it accepts an event, 400 when not. The secret is in SECRET."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from slack_sdk.signature import SignatureVerifier

verifier = SignatureVerifier(os.environ["SECRET"])


class Listener(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        accepted = self.path == "/slack" and verifier.is_valid_request(body, dict(self.headers))
        self.send_response(204 if accepted else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), Listener)
print("listening", server.server_port, flush=True)
server.serve_forever()
