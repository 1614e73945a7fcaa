"""The loop is in a library, and `await` is where a task waits: the lab's asyncio, with the echo. The twin of tcp_tokio."""

import asyncio
import logging
import signal
import socket

import seed

logging.basicConfig(level=logging.DEBUG, format="[%(levelname)s] (%(processName)-10s) (%(threadName)-10s) %(message)s")
# The loop says which system call it waits in.
logging.getLogger("asyncio").setLevel(logging.WARNING)


def main(host="localhost", port=9090):
    """An echo server on asyncio."""
    asyncio.run(serve(host, port))


async def serve(host, port):
    serversocket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    serversocket.setblocking(False)
    serversocket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    serversocket.bind((host, port))
    serversocket.listen(128)

    is_over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, is_over.set)
    print(f"Serving on {serversocket.getsockname()}")
    accepting = asyncio.create_task(accept(serversocket))
    await is_over.wait()
    accepting.cancel()
    print("Shutting down")


async def accept(serversocket):
    loop, tasks = asyncio.get_running_loop(), set()
    while True:
        try:
            clientsocket, client_address = await loop.sock_accept(serversocket)
        except OSError as error:
            logging.error(f"accepting pauses: {error}")
            await asyncio.sleep(0.1)
            continue
        client = "{}:{}".format(*client_address)
        logging.debug(f"New client: {client}")
        # The loop itself keeps no task alive.
        task = asyncio.create_task(client_handler(clientsocket, client))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def client_handler(clientsocket, client):
    loop = asyncio.get_running_loop()
    with clientsocket:
        try:
            while True:
                message = await loop.sock_recv(clientsocket, 1024)
                logging.debug(f"Recv: {message} from {client}")
                if not message:
                    break
                await loop.sock_sendall(clientsocket, message)
                logging.debug(f"Send: {message} to {client}")
        except OSError:
            pass  # An error of one client ends its own task only.
    logging.debug(f"Bye-bye: {client}")


if __name__ == "__main__":
    seed.run(main)
