"""A client of the Debug Adapter Protocol (DAP), as editors have one: enough to stop at a breakpoint."""

import json
import socket
import threading
import time

from client import PATIENCE, Silence, eventually


class Debugger:
    """A connection to a debug adapter that listens at `port`."""

    def __init__(self, port):
        self.socket = eventually(lambda: self.connected(port), "the debugger listens")
        self.file = self.socket.makefile("rb")
        self.sent, self.messages, self.arrived = 0, [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def connected(port):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            return None

    def read(self):
        """Takes messages: a head with their length, an empty line, JSON."""
        while head := self.file.readline():
            self.file.readline()
            message = json.loads(self.file.read(int(head.split(b":")[1])))
            with self.arrived:
                self.messages.append(message)
                self.arrived.notify_all()

    def message(self, **fields):
        """Waits for a message with these fields, and takes it."""
        def found():
            return next((one for one in self.messages if fields.items() <= one.items()), None)
        until = time.monotonic() + PATIENCE
        with self.arrived:
            while not found():
                if not self.arrived.wait(until - time.monotonic()):
                    raise Silence(f"no {fields} from the debugger")
            message = found()
            self.messages.remove(message)
            return message

    def send(self, command, **arguments):
        self.sent += 1
        data = json.dumps({"seq": self.sent, "type": "request", "command": command, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        return self.sent

    def ask(self, command, **arguments):
        """Sends a request, and returns the body of its response."""
        answer = self.message(type="response", request_seq=self.send(command, **arguments))
        assert answer["success"], answer
        return answer.get("body")

    def attach(self, path, line):
        """Attaches, with a breakpoint at this line of the file."""
        self.ask("initialize", clientID="test", adapterID="python")
        attached = self.send("attach", justMyCode=False)
        self.message(event="initialized")
        self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=[{"line": line}])
        self.ask("configurationDone")
        self.message(type="response", request_seq=attached)

    def stop(self):
        """Waits until a thread stops. Returns its identifier, its name and its frames, the innermost first."""
        thread = self.message(event="stopped")["body"]["threadId"]
        names = {one["id"]: one["name"] for one in self.ask("threads")["threads"]}
        frames = self.ask("stackTrace", threadId=thread)["stackFrames"]
        return thread, names[thread], [(frame["name"], frame["line"]) for frame in frames]
