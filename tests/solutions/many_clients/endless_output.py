#!/usr/bin/env python3
# fails: twenty
"""Prints without an end."""

import argparse
import socket

parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
with socket.create_server((args.host, args.port), backlog=128) as listener:
    while True:
        print("A line of a log that nobody wants. " * 10000)
