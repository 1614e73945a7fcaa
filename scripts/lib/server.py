"""Child processes, and servers among them, that end when their `with` block ends."""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

from . import PROJECT, Trouble, proc, request, until

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
# The lines in which the rungs, and stheno, print their port.
RUNG_SAYS = r"^S(?:tart|erv)ing .*?(\d+)\)?$"
STHENO_SAYS = r"^ +url +http://.*:(\d+)/$"


def _set_up_child():
    """Runs before the program: the child ends with its parent, even if that is killed, and Ctrl+C works again."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Linux schedules a new session as a group of its own, which does not inherit the parent's niceness (sched(7)).
    # The file is missing, or may not be written, on some machines: then the group has the default niceness.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as group:
        group.write(str(os.nice(0)))


class Child(contextlib.AbstractContextManager):
    """A program in a session of its own, out of reach of the terminal's Ctrl+C; its output goes to the file `log`. It is
    ended with all its descendants when the block ends, by the signal `polite` first."""

    def __init__(self, command, log=None, polite=signal.SIGINT, **options):
        # `left_behind`: descendants that had to be killed after the end of the program.
        self.polite, self.usage, self.left_behind = polite, None, 0
        with open(log or os.devnull, "wb") as out:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, "cwd": PROJECT} | options
            try:
                self.process = subprocess.Popen(command, start_new_session=True, preexec_fn=_set_up_child, **options)
            except OSError as error:
                raise Trouble(f"{command[0]} does not start: {error}") from error
        self.pid = self.process.pid

    def is_over(self):
        """Whether the process has ended; then `usage` is what it used in its whole life."""
        if self.usage is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.usage, self.process.returncode = usage, os.waitstatus_to_exitcode(status)
        return self.usage is not None

    def wait(self, seconds):
        until(self.is_over, f"{self.process.args[0]} ends", seconds, 0.02)

    def wait_until_ready(self, is_ready, log, seconds):
        """Waits until `is_ready()` is true; ends the process and raises `Trouble` if that does not happen."""
        try:
            until(lambda: is_ready() or self.is_over(), f"the server is ready: see {log}", seconds, 0.001)
            if self.is_over():
                last = pathlib.Path(log).read_text(errors="replace").strip().splitlines()[-1:]
                raise Trouble(f"{self.process.args[0]} has ended at once: {''.join(last) or 'without output'} ({log})")
        except BaseException:
            self.end()
            raise

    def end(self, patience=10):
        everyone = proc.family(self.pid)
        if not self.is_over():
            self.process.send_signal(self.polite)
        try:
            self.wait(patience)
        except Trouble:
            everyone = proc.family(self.pid)
            self.process.kill()
            self.wait(60)
        for pid in everyone[1:]:
            # Descendants cannot be waited for; those that are still in the session were left behind.
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.pid and proc.is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
                    self.left_behind += 1

    def __exit__(self, *_):
        self.end()


class PortServer(Child):
    """A server that is told its port: `command_for(port)`; ready when it has answered a request for `path`."""

    def __init__(self, command_for, log, path="/1k", seconds=10, polite=signal.SIGTERM, tls=False, **options):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        super().__init__(command_for(self.port), log, polite, **options)
        begun, payload = time.monotonic(), request(path, "Connection: close")

        def has_answered():
            # A port that only accepts may belong to a master that has no workers yet.
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), seconds) as client:
                if tls:
                    client = ssl._create_unverified_context().wrap_socket(client)
                client.sendall(payload)
                return client.recv(1)
        self.wait_until_ready(has_answered, log, seconds)
        self.start_seconds = time.monotonic() - begun


class Server(Child):
    """A server on any free port, which it prints in the line that `says` matches."""

    def __init__(self, command, log, says=RUNG_SAYS):
        self.command, found = [*command, "--host", "127.0.0.1", "--port", "0"], []
        super().__init__(self.command, log)
        self.wait_until_ready(lambda: found.extend(re.findall(says, log.read_text(errors="replace"), re.M)) or found, log, 20)
        self.port = int(found[0])
        self.url = f"http://127.0.0.1:{self.port}"
