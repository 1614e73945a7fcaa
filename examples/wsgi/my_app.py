"""The smallest possible app, from the seed.

    stheno-wsgi my_app:application
    curl http://127.0.0.1:9000/
"""


def application(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello World"]
