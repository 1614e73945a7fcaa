"""Flask as `scripts/bench wsgi` measures it: one route with a converter, and an answer in JSON."""

import flask

from .wsgi_apps import user

application = flask.Flask(__name__)


@application.get("/users/<int:number>")
def users(number):
    return user(number)
