"""One thread that waits for ready sockets: the lab's tcp_select with the lab's page, and a queue of deadlines."""

import collections
import select
import time

import seed


class Server:
    """The sockets, by what each waits for."""

    def __init__(self, serversocket, database):
        self.serversocket, self.database = serversocket, database
        self.reading = set()
        # The database takes the same time for each request, so the queue is in order of time.
        self.asking = collections.deque()
        self.writing = {}

    def turn(self):
        wait = max(0.0, self.asking[0][0] - time.monotonic()) if self.asking else 60
        readable, writable, _ = select.select([self.serversocket, *self.reading], list(self.writing), [], wait)
        for sock in readable:
            if sock is self.serversocket:
                self.handle_accept()
            else:
                self.handle_read(sock)
        for sock in writable:
            self.handle_write(sock)
        while self.asking and self.asking[0][0] <= time.monotonic():
            self.writing[self.asking.popleft()[1]] = seed.PAGE

    def handle_accept(self):
        try:
            clientsocket, _ = self.serversocket.accept()
        except BlockingIOError:
            return
        clientsocket.setblocking(False)
        self.reading.add(clientsocket)

    def handle_read(self, sock):
        self.reading.discard(sock)
        try:
            sock.recv(1024)
        except OSError:
            sock.close()
            return
        self.asking.append((time.monotonic() + self.database, sock))

    def handle_write(self, sock):
        page = self.writing.pop(sock)
        try:
            sent = sock.send(page)
        except BlockingIOError:
            sent = 0
        except OSError:
            sock.close()
            return
        if sent < len(page):
            self.writing[sock] = page[sent:]
        else:
            sock.close()


def main():
    args = seed.arguments()
    with seed.listen(args) as serversocket:
        serversocket.setblocking(False)
        server = Server(serversocket, args.db / 1000)
        try:
            while True:
                server.turn()
        except KeyboardInterrupt:
            print("Shutting down")


if __name__ == "__main__":
    main()
