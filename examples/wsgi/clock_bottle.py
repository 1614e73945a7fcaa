"""A clock that ticks in an open response, and scales for uploaded files, with bottle.

    pip install bottle
    stheno-wsgi clock_bottle:application
    curl -N http://127.0.0.1:9000/ticks/5
    curl -F file=@/etc/services http://127.0.0.1:9000/weigh
    curl -b cookies -c cookies http://127.0.0.1:9000/visits

or, with bottle's own adapter, `python clock_bottle.py`.
"""

import hashlib
import os
import time

import bottle

application = bottle.Bottle()
# Signs the cookie; keep it secret. All workers need the same key, so it is not random.
SECRET = os.environ.get("CLOCK_SECRET", "only for trying it out")


@application.get("/")
def index():
    bottle.response.content_type = "text/plain; charset=utf-8"
    return __doc__


@application.get("/ticks/<count:int>")
def ticks(count):
    """A line each tenth of a second. Each is sent when it is made."""
    bottle.response.content_type = "text/plain; charset=utf-8"

    def lines():
        for number in range(min(count, 100)):
            yield f"{number + 1} {time.strftime('%H:%M:%S')}\n".encode()
            time.sleep(0.1)
    return lines()


@application.post("/weigh")
def weigh():
    """The size and the hash of an upload, which is read in pieces."""
    upload = bottle.request.files.get("file")
    if upload is None:
        bottle.abort(400, "send a form with a field 'file'")
    size, digest = 0, hashlib.sha256()
    while piece := upload.file.read(65536):
        size += len(piece)
        digest.update(piece)
    return {"name": upload.filename, "bytes": size, "sha256": digest.hexdigest()}


@application.get("/visits")
def visits():
    """Counts visits in a signed cookie."""
    count = int(bottle.request.get_cookie("visits", default=0, secret=SECRET)) + 1
    bottle.response.set_cookie("visits", count, secret=SECRET, httponly=True, samesite="lax")
    return {"visits": count}


@application.get("/error")
def error():
    raise RuntimeError("an error on purpose: the client gets a 500, the log gets this")


if __name__ == "__main__":
    import stheno_wsgi
    bottle.run(application, server=stheno_wsgi.SthenoServer, host="127.0.0.1", port=9000)
