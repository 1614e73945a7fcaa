"""Coroutines: the lab's asyncio server."""

import asyncio
import socket

import seed


async def serve(args):
    async def client_handler(reader, writer):
        try:
            await reader.read(1024)
            await asyncio.sleep(args.db / 1000)
            writer.write(seed.PAGE)
            await writer.drain()
        except ConnectionError:
            pass  # The client left before its response.
        finally:
            writer.close()

    server = await asyncio.start_server(
        client_handler, args.host, args.port, family=socket.AF_INET, backlog=args.backlog)
    print(f"Serving on {server.sockets[0].getsockname()}", flush=True)
    async with server:
        await server.serve_forever()


def main():
    try:
        asyncio.run(serve(seed.arguments()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
