"""A thread for every client: the lab's web_multithread."""

import threading
import time

import seed


def client_handler(clientsocket, database):
    with clientsocket:
        try:
            clientsocket.recv(1024)
            time.sleep(database)
            clientsocket.sendall(seed.PAGE)
        except ConnectionError:
            pass  # The client left before its response.


def main():
    args = seed.arguments()
    with seed.listen(args) as serversocket:
        try:
            while True:
                clientsocket, _ = serversocket.accept()
                threading.Thread(target=client_handler, args=(clientsocket, args.db / 1000), daemon=True).start()
        except KeyboardInterrupt:
            print("Shutting down")


if __name__ == "__main__":
    main()
