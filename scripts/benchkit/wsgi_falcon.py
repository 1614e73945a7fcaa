"""falcon as `scripts/bench wsgi` measures it: one route with a converter, and an answer in JSON."""

import falcon

from .wsgi_apps import user


class Users:
    """The resource of the route."""

    def on_get(self, _, response, number):
        response.media = user(number)


application = falcon.App()
application.add_route("/users/{number:int}", Users())
