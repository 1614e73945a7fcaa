#!/usr/bin/env python3
# fails: silent_neighbour: accept
"""Asks every socket again and again, and never waits."""

import argparse
import socket

parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
serversocket = socket.create_server((args.host, args.port), backlog=128)
serversocket.setblocking(False)
clients = []
while True:
    try:
        clients.append(serversocket.accept()[0])
        clients[-1].setblocking(False)
    except BlockingIOError:
        pass
    for client in list(clients):
        try:
            data = client.recv(65536)
        except BlockingIOError:
            continue
        if data:
            client.send(data)
        else:
            clients.remove(client)
            client.close()
