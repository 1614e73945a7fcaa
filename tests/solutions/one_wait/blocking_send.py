#!/usr/bin/env python3
# fails: stuck_reader: client B
"""Waits for all clients by select, and then sends with a call that blocks."""

import argparse
import select
import socket

parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
serversocket = socket.create_server((args.host, args.port), backlog=128)
clients = []
while True:
    for ready in select.select([serversocket, *clients], [], [])[0]:
        if ready is serversocket:
            clients.append(serversocket.accept()[0])
        elif data := ready.recv(65536):
            ready.sendall(data)
        else:
            clients.remove(ready)
            ready.close()
