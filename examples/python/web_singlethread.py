"""One thread, one client at a time: the lab's web_singlethread."""

import time

import seed


def main():
    args = seed.arguments()
    with seed.listen(args) as serversocket:
        try:
            while True:
                clientsocket, _ = serversocket.accept()
                with clientsocket:
                    try:
                        clientsocket.recv(1024)
                        time.sleep(args.db / 1000)
                        clientsocket.sendall(seed.PAGE)
                    except ConnectionError:
                        pass  # The client left before its response.
        except KeyboardInterrupt:
            print("Shutting down")


if __name__ == "__main__":
    main()
