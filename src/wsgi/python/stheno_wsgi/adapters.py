"""Adapters for frameworks that start the server themselves. Importing this imports the framework."""

from __future__ import annotations

from typing import Any

from bottle import ServerAdapter  # type: ignore[import-untyped, import-not-found, unused-ignore]

from .server import Application, serve


class SthenoServer(ServerAdapter):  # type: ignore[misc, unused-ignore]
    """For bottle: ``bottle.run(server=stheno_wsgi.SthenoServer, threads=4)``."""

    options: dict[str, Any]

    def run(self, handler: Application) -> None:
        """Serves ``handler``. (bottle calls this)"""
        serve(handler, host=self.host, port=int(self.port), **self.options)
