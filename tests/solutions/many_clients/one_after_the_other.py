#!/usr/bin/env python3
# fails: twenty: the answer is not there
"""One client at a time."""

import argparse
import socket

parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
with socket.create_server((args.host, args.port), backlog=128) as listener:
    while True:
        client, _ = listener.accept()
        with client:
            while data := client.recv(65536):
                client.sendall(data)
