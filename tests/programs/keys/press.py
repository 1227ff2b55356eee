"""Somebody at a terminal: starts the agent that is named first, and presses keys.

`--state` is a directory that may be written to. The agent runs on a terminal of its own each time, with the
relay in its process and its built-in origin.
"""

import argparse
import json
import os
import re
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from checks import expect, run
from terminal import LONG, Terminal


class Agent(Terminal):
    """The agent, once it is online."""

    def __init__(self, *more, **environment):
        super().__init__(*command(*more), **settings(), **environment)
        self.sees(r"inspector +(http://\S+)")
        self.page = self.found[1]
        self.sees(r"try.*?curl (http://[^\s/]+)")
        self.url = self.found[1]
        self.sees(r"r replay last, o open inspector, p pause, / filter, q stop, \? help")
        expect("the terminal is by key", self.is_by_key(), True)

    def visit(self, path):
        host, port = re.match(r"http://(.*):(\d+)", self.url).groups()
        head = f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"
        with socket.create_connection(("127.0.0.1", int(port)), LONG) as stream:
            stream.sendall(head.encode())
            answer = b""
            while data := stream.recv(65536):
                answer += data
        expect("the answer begins", answer[:12], b"HTTP/1.1 200")

    def says(self, path):
        with urllib.request.urlopen(f"{self.page}/api/v1/{path}", timeout=LONG) as answer:
            return json.load(answer)


def command(*more):
    given = more if "--port" in more else ("--echo", *more)
    if "--inspect" not in more:
        given = (*given, "--inspect", "127.0.0.1:0")
    return (args.agent, *given, "--relay", "local", "--state-dir", args.state)


def settings():
    return dict(XDG_STATE_HOME=args.state, NO_COLOR="1", TERM="xterm", DISPLAY="", WAYLAND_DISPLAY="", BROWSER="")


async def does_what_keys_say():
    """keys replay, pause and help"""
    agent = Agent()
    agent.press("r")
    agent.sees("there is no request to replay yet")
    agent.press("?")
    agent.sees("Enter sets the filter, Esc clears it")
    agent.visit("/hooks/first?token=s3cret")
    agent.sees(r"POST +/hooks/first +200")
    agent.press("r")
    said = agent.sees(r"replaying POST /hooks/first \(request 1\)")
    expect("a secret is shown", "s3cret" in said, False)
    agent.sees(r"POST +/hooks/first +200")
    expect("a replay of", agent.says("requests/2")["replay_of"], 1)
    agent.press("p")
    agent.sees("capture paused")
    expect("paused", agent.says("status")["inspect"]["paused"], True)
    agent.visit("/unseen")
    agent.sees(r"POST +/unseen +200")
    agent.press("p")
    agent.sees("capture resumed")
    expect("kept", len(agent.says("requests")["requests"]), 2)
    agent.close()


async def shows_what_the_filter_wants():
    """a filter that was typed hides the lines of other requests"""
    agent = Agent()
    agent.press("/colour:red\r")
    agent.sees("no filter: there is no colour:")
    agent.sees("filter: colour:red")
    # Corrected: the whole line away, a letter too many, an arrow that means nothing.
    agent.press("\x15path:/yess\x7f\x1b[D")
    agent.sees("filter: path:/yes$")
    agent.visit("/yes/while-typing")
    agent.sees(r"\r\x1b\[2K[^\r]*POST +/yes/while-typing +200[^\r]*\r\nfilter: path:/yes")
    agent.press("\r")
    agent.sees("only requests that match path:/yes are shown")
    agent.visit("/no")
    agent.visit("/yes")
    said = agent.sees(r"POST +/yes +200")
    expect("another is shown", "/no" in said, False)
    agent.press("r")
    agent.sees(r"replaying POST /yes \(")
    agent.sees(r"POST +/yes +200")
    agent.press("\x1b")
    agent.sees("all requests are shown")
    agent.visit("/no")
    agent.sees(r"POST +/no +200")
    agent.press("/nothing\x1b")
    agent.sees("all requests are shown")
    agent.close()


async def opens_the_inspector():
    """o opens the inspector in a browser, or says where it is"""
    agent = Agent()
    agent.press("o")
    agent.sees(f"no browser found; the inspector is at {re.escape(agent.page)}")
    agent.close()
    if sys.platform != "linux":
        return
    tools = Path(args.state, "tools")
    tools.mkdir(exist_ok=True)
    Path(tools, "xdg-open").write_text(f'#!/bin/sh\necho "$1" >"{tools}/opened"\n')
    Path(tools, "xdg-open").chmod(0o755)
    agent = Terminal(*command(), **{**settings(), "DISPLAY": ":0", "PATH": f"{tools}:{os.environ['PATH']}"})
    agent.sees(r"inspector +(http://\S+)")
    page = agent.found[1]
    agent.sees("help")
    agent.press("o")
    agent.sees(f"opening {re.escape(page)}")
    opened = tools / "opened"
    agent.until("a browser", lambda: opened.exists() and opened.read_text() == f"{page}\n")
    agent.close()


async def gives_the_terminal_back():
    """whatever ends the agent, the terminal is as it was"""
    for how, code in [("q", 0), ("\x03", 0), (signal.SIGTERM, 0), ("\x1c", 131), (signal.SIGHUP, 129)]:
        agent = Agent()
        agent.press(how) if isinstance(how, str) else os.kill(agent.pid, how)
        expect(f"the end by {how!r}", agent.ends(), code)
        agent.close()


async def twice_ends_at_once():
    """a second Ctrl-C ends the agent at once, and the terminal is as it was"""
    with socket.create_server(("127.0.0.1", 0)) as never:
        agent = Agent("--port", str(never.getsockname()[1]))
        port = int(agent.url.rsplit(":", 1)[1])
        host = agent.url.removeprefix("http://")
        with socket.create_connection(("127.0.0.1", port)) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            origin, _ = never.accept()
            agent.press("q")
            agent.sees("draining")
            agent.press("\x03")
            expect("the end", agent.ends(), 130)
            origin.close()
        agent.close()


async def stops_and_goes_on():
    """Ctrl-Z stops the agent, the shell has its terminal, and keys are read only in the foreground"""
    shell = Terminal("dash", "-i", **settings(), PS1="$ ")
    shell.sees(r"\$ ")
    shell.press(" ".join(command()) + "\n")
    shell.sees(r"help")
    shell.until("keys", shell.is_by_key)
    shell.press("\x1a")
    shell.sees("Stopped")
    # This shell leaves the terminal as it finds it.
    shell.until("lines", lambda: not shell.is_by_key())
    shell.press("bg\n")
    shell.press("echo a$((1+1))b\n")
    shell.sees("a2b")
    expect("the terminal is by key", shell.is_by_key(), False)
    shell.press("fg\n")
    shell.until("keys", shell.is_by_key)
    shell.press("?")
    shell.sees("Esc clears it")
    shell.press("q")
    shell.sees(r"\$ ")
    expect("the terminal is by key", shell.is_by_key(), False)
    shell.close()


async def rests_when_its_terminal_is_gone():
    """an agent in the background whose terminal was closed goes on, and takes no processor time for it"""
    if sys.platform != "linux":
        return
    shell = Terminal("dash", "-i", **settings(), PS1="$ ")
    shell.sees(r"\$ ")
    shell.press(" ".join(command()) + " & echo pid=$!.\n")
    shell.sees(r"pid=(\d+)\.")
    pid = int(shell.found[1])
    shell.sees("help")
    shell.close()

    def used():
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))

    before = used()
    # Nothing else to wait for: this is what is measured.
    time.sleep(1)
    expect("it is busy", used() - before > 20, False)
    os.kill(pid, signal.SIGTERM)


async def without_a_shell_ctrl_z_does_nothing():
    """an agent that nobody could wake again is not stopped by Ctrl-Z"""
    agent = Agent()
    agent.press("\x1a")
    agent.press("?")
    agent.sees("Esc clears it")
    agent.close()


async def some_need_the_inspector():
    """without the inspector, keys that need it say so"""
    agent = Terminal(*command("--inspect", "off"), **settings())
    agent.sees("q stop")
    for key in "rop/":
        agent.press(key)
        agent.sees("this takes the inspector, which is off")
    agent.press("q")
    expect("the end", agent.ends(), 0)
    agent.close()


async def programs_get_no_keys():
    """with --json the terminal stays as it is"""
    agent = Terminal(*command("--json"), **settings())
    agent.sees('"event":"online"')
    expect("the terminal is by key", agent.is_by_key(), False)
    agent.close()


parser = argparse.ArgumentParser()
parser.add_argument("agent")
parser.add_argument("--state", required=True)
args = parser.parse_args()
run([
    does_what_keys_say,
    shows_what_the_filter_wants,
    opens_the_inspector,
    gives_the_terminal_back,
    twice_ends_at_once,
    stops_and_goes_on,
    rests_when_its_terminal_is_gone,
    without_a_shell_ctrl_z_does_nothing,
    some_need_the_inspector,
    programs_get_no_keys,
])
