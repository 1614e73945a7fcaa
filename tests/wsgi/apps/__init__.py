"""The apps of the tests. The field X-App names the app to call, X-Mark the test for which it notes events.

Apps are wrapped in `wsgiref.validate`, unless a row is about something that the validator hides or forbids; such apps are
marked `checked=False`, with the reason.
"""

# Each registers its apps.
from . import files, iterables, large, logged, operations, requests, responses, threads  # noqa: F401
from .registry import APPS


def application(environ, start_response):
    return APPS[environ.get("HTTP_X_APP", "dump")](environ, start_response)
