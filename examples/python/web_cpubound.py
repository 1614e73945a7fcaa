"""A thread for every client, which computes instead of waiting: what the GIL leaves of threads. Twin of web_cpubound."""

import threading

import seed


def primes_below(limit):
    """How many there are, found the slow way."""
    count = 0
    for number in range(2, limit):
        divisor = 2
        while divisor * divisor <= number and number % divisor:
            divisor += 1
        count += divisor * divisor > number
    return count


def client_handler(clientsocket, limit):
    with clientsocket:
        try:
            clientsocket.recv(1024)
            primes_below(limit)
            clientsocket.sendall(seed.PAGE)
        except ConnectionError:
            pass  # It has gone away without its answer.


def main():
    args = seed.arguments(("--limit", 20_000))
    with seed.listen(args) as serversocket:
        try:
            while True:
                clientsocket, _ = serversocket.accept()
                threading.Thread(target=client_handler, args=(clientsocket, args.limit), daemon=True).start()
        except KeyboardInterrupt:
            print("Shutting down")


if __name__ == "__main__":
    main()
