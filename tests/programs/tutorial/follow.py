"""Somebody who follows the tutorial of docs/webhooks.md: types its commands, and looks whether what it says comes true.

The page is the first argument, the directory of relay and agent the second; `--state` may be written to. Only the
ports are others than on the page, and express is there already.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from checks import expect, run
from terminal import Terminal

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Shell(Terminal):
    """A shell in the directory of the listener."""

    def __init__(self):
        home = str(Path(args.state).resolve())
        path = f"{Path(args.programs).resolve()}:{os.environ['PATH']}"
        ports = {f"ADIT_{name}": "127.0.0.1:0" for name in ("HTTP", "HTTPS", "QUIC", "ADMIN", "INSPECT")}
        super().__init__(
            "bash", "--norc", "-i", "+o", "history",
            HOME=home, XDG_STATE_HOME=home, PATH=path, PS1="@ ", NO_COLOR="1", TERM="xterm",
            LINES="50", COLUMNS="200", DISPLAY="", **ports,
        )
        self.sees("@ ")
        self.types(f"cd {home}")
        self.sees("@ ")

    def types(self, command):
        self.press(command + "\n")
        # What is typed is shown, until the line ends.
        self.sees(r"\n")


def tutorial():
    """The listener, and the commands in their order."""
    page = Path(args.page).read_text()
    section = re.search(r"\n## Tutorial.*?(?=\n## )", page, re.S)[0]
    script = re.search(r"```js\n(.*?)```", section, re.S)[1]
    return script, re.findall(r"^\$ (.*)$", section, re.M)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


async def comes_true():
    """the tutorial is true: events arrive late or again, and none twice unmarked"""
    script, commands = tutorial()
    port = free_port()
    Path(args.state, "app.mjs").write_text(script.replace("3000", port))
    Path(args.state, "node_modules").symlink_to(Path(__file__).parent.parent.resolve() / "node_modules")
    following = iter(commands)

    def types(shell, beginning, **others):
        command = next(following)
        expect("the command begins", command[: len(beginning)], beginning)
        for ours, theirs in {"3000": port, **ports}.items():
            command = command.replace(ours, theirs)
        shell.types(command)

    ports = {}
    relay, app, agent, work = Shell(), Shell(), Shell(), Shell()
    types(relay, "relay")
    relay.sees(r"ready: agent --port 3000 --relay localhost:(\d+) .*http 127.0.0.1:(\d+),")
    ports = {"8443": relay.found[1], "8080": relay.found[2]}
    expect("the command", next(following), "npm install express")
    types(app, "node app.mjs")
    app.sees(f"listening on {port}")
    types(agent, "export ")
    types(agent, "agent --port 3000 ")
    agent.sees(r"http://shop\.localhost:\d+\r\n")
    agent.sees(r"inbox open: 0 waiting")

    types(work, "export ")
    types(work, "agent webhook send")
    work.sees(rf"github push ({UUID}), signed\r\n204 in ")
    first = work.found[1]
    app.sees(f"push {first} attempt 1")
    agent.sees(rf"POST +/hooks/github +204 .* github push {first} ✓\r\n")
    agent.press("r")
    agent.sees(r"replaying POST /hooks/github \(request 1\)\r\n.* 204 .* ✓\r\n")
    app.sees(f"push {first} attempt 1")

    app.press("\x1a")
    app.sees("Stopped")
    types(work, "agent webhook send")
    work.sees(rf"github push ({UUID}), signed\r\n202 in 2\.\d s\r\n")
    second = work.found[1]
    work.sees("adit-inbox: ")
    types(app, "fg")
    came = Came(app)
    came.until(second)
    # The answer is on its way.
    relay.until("an empty inbox", lambda: kept() == 0)

    agent.press("\x1a")
    agent.sees("Stopped")
    types(work, "for n in 1 2 3; do agent webhook send")
    asleep = []
    for _ in range(3):
        work.sees(rf"github push ({UUID}), signed\r\n202 in 2\.\d s\r\n")
        asleep.append(work.found[1])
    types(work, "relay inbox list")
    work.sees(r"shop\.localhost +open +3 +0 +0 ")
    types(agent, "fg")
    for event in asleep:
        came.until(event)
    expect("commands that are left", list(following), [])
    agent.press("q")
    agent.sees("@ ")
    came.rest()
    unmarked = [event for event, attempts in came.all.items() if attempts.count("1") > 1]
    expect("what came twice unmarked", unmarked, [])
    for shell in (relay, app, agent, work):
        shell.close()


def kept():
    """How many requests the relay keeps."""
    command = [Path(args.programs, "relay").resolve(), "inbox", "list", "--json"]
    state = str(Path(args.state).resolve())
    told = subprocess.run(command, env={"XDG_STATE_HOME": state}, capture_output=True, check=True).stdout
    return sum(sum(json.loads(line)["requests"].values()) for line in told.splitlines())


class Came:
    """What came to the listener, in which attempts. Most often once; Node may close a connection as it wakes."""

    LINE = rf"push ({UUID}) attempt (\d+)\r\n"

    def __init__(self, app):
        self.app, self.all = app, {}

    def until(self, event):
        while event not in self.all:
            self.app.sees(self.LINE)
            self.note(self.app.found)

    def rest(self):
        while self.app.read(0.2):
            pass
        for found in re.finditer(self.LINE, self.app.screen):
            self.note(found)

    def note(self, found):
        self.all.setdefault(found[1], []).append(found[2])


parser = argparse.ArgumentParser()
parser.add_argument("page")
parser.add_argument("programs")
parser.add_argument("--state", required=True)
args = parser.parse_args()
run([comes_true])
