"""The registry of the apps, and what they share."""

import os
import threading
import time
import warnings
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
APPS = {}
# The validator warns of unknown methods, which the tests use on purpose.
warnings.filterwarnings("ignore", module="wsgiref")


def app(function=None, *, checked=True):
    def decorate(function):
        APPS[function.__name__] = validator(function) if checked else function
        return function
    return decorate(function) if function else decorate


def note(environ, name, text=""):
    """Notes an event for the test: one write in append mode, so lines of several threads and processes do not mix."""
    line = f"{environ.get('HTTP_X_MARK', '-')}\t{name}\t{text}\n"
    with open(os.environ["WSGI_EVENTS"], "ab", buffering=0) as file:
        file.write(line.encode())


def wait_for(path, patience=30.0):
    """Waits for a file that the test makes; False if it does not."""
    until = time.monotonic() + patience
    while not os.path.exists(path):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


class Body:
    """An iterable that notes when it is closed."""

    def __init__(self, environ, chunks, close=None):
        self.environ, self.chunks, self.on_close = environ, iter(chunks), close

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        note(self.environ, "closed", threading.get_ident())
        if self.on_close:
            self.on_close()
