#!/usr/bin/env python3
# passes
"""One thread, one wait; what cannot be sent at once is kept, and meanwhile nothing is read from this client."""

import argparse
import selectors
import socket


def accept(listener):
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        return
    client.setblocking(False)
    waits.register(client, selectors.EVENT_READ, bytearray())


def serve(client, rest, mask):
    try:
        if mask & selectors.EVENT_READ:
            data = client.recv(65536)
            if not data:
                return close(client)
            rest += data
        del rest[:client.send(rest)]
    except BlockingIOError:
        pass
    except OSError:
        return close(client)
    waits.modify(client, selectors.EVENT_WRITE if rest else selectors.EVENT_READ, rest)


def close(client):
    waits.unregister(client)
    client.close()


parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
waits = selectors.DefaultSelector()
serversocket = socket.create_server((args.host, args.port), backlog=128)
serversocket.setblocking(False)
waits.register(serversocket, selectors.EVENT_READ)
while True:
    for key, events in waits.select():
        if key.fileobj is serversocket:
            accept(serversocket)
        else:
            serve(key.fileobj, key.data, events)
