"""Says each request that it gets, whole, as a line of JSON: method, target and body."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        """What the head declares; nothing when it is cut. The module itself reads no bodies."""
        length = self.headers.get("content-length")
        if length is not None:
            body = self.rfile.read(int(length))
            return body if len(body) == int(length) else None
        if self.headers.get("transfer-encoding") is None:
            return b""
        body = b""
        while size := int(self.rfile.readline() or b"-1", 16):
            piece = self.rfile.read(size) if size > 0 else b""
            if size < 0 or len(piece) < size or self.rfile.readline() != b"\r\n":
                return None
            body += piece
        while line := self.rfile.readline():
            if line == b"\r\n":
                return body
        return None

    def serve(self):
        body = self.body()
        if body is None:
            self.close_connection = True
            return
        # As it came: the module makes one slash of two, and Latin-1 of all letters.
        target = self.requestline.split(" ")[1].encode("latin-1").decode()
        print(json.dumps([self.command, target, body.decode()]), flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def send_error(self, code, message=None, explain=None):
        print(json.dumps(["refused", str(code), ""]), flush=True)
        super().send_error(code, message, explain)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print(f"listening {server.server_port}", flush=True)
server.serve_forever()
