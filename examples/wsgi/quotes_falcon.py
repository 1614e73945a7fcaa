"""Quotes as JSON, with falcon 4: the seed's resource, and a POST that stores a quote.

    pip install falcon
    stheno-wsgi quotes_falcon:api
    curl http://127.0.0.1:9000/quote
    curl http://127.0.0.1:9000/quote -H 'Content-Type: application/json' \\
         -d '{"quote": "The most dangerous phrase is: we have always done it this way.", "author": "Grace Hopper"}'
    curl http://127.0.0.1:9000/quote/2

Quotes live in the memory of one worker process: with `-w 2` each has its own.
"""

import threading

import falcon

FIRST = {
    "quote": "I've always been more interested in the future than in the past.",
    "author": "Grace Hopper",
}
# The most characters of a quote and of a name, and the most quotes.
LONGEST = {"quote": 500, "author": 100}
MOST = 1000


def validated(media):
    """Returns the quote that was sent, or raises a 422 that says what is wrong with it."""
    if not isinstance(media, dict):
        raise falcon.HTTPUnprocessableEntity(description="expected an object with 'quote' and 'author'")
    if unknown := set(media) - set(LONGEST):
        raise falcon.HTTPUnprocessableEntity(description=f"unknown: {', '.join(sorted(unknown))}")
    quote = {}
    for name, longest in LONGEST.items():
        text = media.get(name)
        if not isinstance(text, str) or not text.strip():
            raise falcon.HTTPUnprocessableEntity(description=f"'{name}' must be a text that is not empty")
        if len(text) > longest:
            raise falcon.HTTPUnprocessableEntity(description=f"'{name}' may have at most {longest} characters")
        quote[name] = text.strip()
    return quote


class QuoteResource:
    """The seed's: `GET /quote` returns the first quote, `GET /quote/N` the N-th; `POST` adds one."""

    def __init__(self):
        self.quotes = [FIRST]
        # Pool threads call `on_post` at the same time.
        self.lock = threading.Lock()

    def on_get(self, req, resp):
        resp.media = self.quotes[0]

    def on_post(self, req, resp):
        quote = validated(req.get_media())
        with self.lock:
            if len(self.quotes) == MOST:
                raise falcon.HTTPInsufficientStorage(description=f"{MOST} quotes are enough")
            self.quotes.append(quote)
            number = len(self.quotes)
        resp.status = falcon.HTTP_201
        resp.location = f"/quote/{number}"
        resp.media = quote

    def on_get_one(self, req, resp, number):
        if not 1 <= number <= len(self.quotes):
            raise falcon.HTTPNotFound(description=f"there are {len(self.quotes)} quotes")
        resp.media = self.quotes[number - 1]


api = falcon.App()
quotes = QuoteResource()
api.add_route("/quote", quotes)
api.add_route("/quote/{number:int}", quotes, suffix="one")
application = api
