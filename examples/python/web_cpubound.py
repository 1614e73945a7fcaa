"""A thread for every client, which computes instead of waiting: the effect of the GIL. Twin of web_cpubound."""

import threading

import seed


def primes_below(limit):
    """Counts the primes by trial division, which is slow on purpose."""
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
            pass  # The client left before its response.


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
