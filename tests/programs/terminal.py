"""A program on a terminal of its own, and somebody who presses keys and looks at the screen."""

import os
import pty
import re
import select
import signal
import termios
import time

from checks import expect

LONG = 15  # seconds


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *command, **environment):
        self.screen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.execvp(command[0], command)

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def sees(self, pattern):
        """Waits until the screen has it after what was seen before; what came up to its end was seen."""
        deadline = time.monotonic() + LONG
        while not (found := re.search(pattern, self.screen)):
            if not self.read(deadline - time.monotonic()):
                raise AssertionError(f"{pattern!r} is not in {self.screen!r}")
        before = self.screen[: found.start()]
        self.screen = self.screen[found.end() :]
        self.found = found
        return before

    def read(self, seconds):
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # nobody has the other end any more
            data = b""
        self.screen += data.decode(errors="replace")
        return bool(data)

    def is_by_key(self):
        """Whether keys come one by one, unseen."""
        modes = termios.tcgetattr(self.fd)[3]
        return not modes & (termios.ICANON | termios.ECHO)

    def until(self, what, probe):
        deadline = time.monotonic() + LONG
        while not probe():
            if time.monotonic() > deadline:
                raise AssertionError(f"not in time: {what}")
            self.read(0.02)

    def ends(self):
        """Its exit code, once it has ended; its terminal must be as it was."""
        ended = []

        def probe():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ended.append(status)
            return pid

        self.until("the end", probe)
        expect("the terminal is by key", self.is_by_key(), False)
        return os.waitstatus_to_exitcode(ended[-1])

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
