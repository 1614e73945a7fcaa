"""Quotes as JSON, with falcon 4: the seed's resource, and a POST that keeps what it is given.

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
# How long a quote or a name may be, in characters, and how many quotes are kept.
LONGEST = {"quote": 500, "author": 100}
MOST = 1000


def validated(media):
    """The quote that was sent, or what is wrong with it as a 422."""
    if not isinstance(media, dict):
        raise falcon.HTTPUnprocessableEntity(description="an object with 'quote' and 'author' is wanted")
    if unknown := set(media) - set(LONGEST):
        raise falcon.HTTPUnprocessableEntity(description=f"nobody knows {', '.join(sorted(unknown))}")
    quote = {}
    for name, longest in LONGEST.items():
        text = media.get(name)
        if not isinstance(text, str) or not text.strip():
            raise falcon.HTTPUnprocessableEntity(description=f"'{name}' is to be a text that is not empty")
        if len(text) > longest:
            raise falcon.HTTPUnprocessableEntity(description=f"'{name}' may have {longest} characters at the most")
        quote[name] = text.strip()
    return quote


class QuoteResource:
    """The seed's: `GET /quote` answers the first quote. `POST` adds one, `GET /quote/N` answers the N-th."""

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
