"""An app that builds links to itself, as it sees itself behind one proxy."""

import os

from flask import Flask, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)


@app.get("/who")
def who():
    return {
        "scheme": request.scheme,
        "host": request.host,
        "addr": request.remote_addr,
        "url": url_for("who", _external=True),
    }


server = make_server("127.0.0.1", int(os.environ.get("PORT") or 0), app, threaded=True)
print("listening", server.server_port, flush=True)
server.serve_forever()
