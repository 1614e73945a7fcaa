"""A shelf for files, with flask: a user signs in, puts files on it and takes them back.

    pip install flask
    stheno-wsgi shelf_flask:application
    curl -b c -c c -d name=Ada http://127.0.0.1:9000/sign-in
    curl -b c -F file=@/etc/services http://127.0.0.1:9000/files
    curl -b c http://127.0.0.1:9000/files
    curl -b c http://127.0.0.1:9000/files/services

The shelf is a folder: SHELF_FOLDER, or a new one in the system's temporary folder.
"""

import hashlib
import os
import pathlib
import tempfile

import flask
from werkzeug.utils import secure_filename

application = flask.Flask(__name__)
# Signs the sessions. All workers need the same key, so it is not random.
application.secret_key = os.environ.get("SHELF_SECRET", "only for trying it out")
application.config.update(SESSION_COOKIE_SAMESITE="Lax", MAX_CONTENT_LENGTH=200 << 20)
FOLDER = pathlib.Path(os.environ.get("SHELF_FOLDER", pathlib.Path(tempfile.gettempdir()) / "stheno-shelf"))
FOLDER.mkdir(exist_ok=True)


def shelf():
    """The folder of the user that is signed in."""
    if "name" not in flask.session:
        flask.abort(401, "sign in first")
    mine = FOLDER / hashlib.sha256(flask.session["name"].encode()).hexdigest()[:16]
    mine.mkdir(exist_ok=True)
    return mine


@application.get("/")
def index():
    return flask.Response(__doc__, mimetype="text/plain")


@application.post("/sign-in")
def sign_in():
    name = flask.request.form.get("name", "").strip()
    if not name:
        flask.abort(400, "expected a form with a field 'name'")
    flask.session["name"] = name
    return {"name": name}


@application.post("/sign-out")
def sign_out():
    flask.session.clear()
    return {}


@application.post("/files")
def put():
    upload = flask.request.files.get("file")
    name = secure_filename(upload.filename or "") if upload else ""
    if not name:
        flask.abort(400, "expected a form with a file in the field 'file'")
    path = shelf() / name
    upload.save(path)
    return {"name": name, "bytes": path.stat().st_size}, 201


@application.get("/files")
def names():
    return [{"name": path.name, "bytes": path.stat().st_size} for path in sorted(shelf().iterdir())]


@application.get("/files/<name>")
def get(name):
    """Uses wsgi.file_wrapper: the kernel copies the file, without Python. Ranges and If-None-Match work."""
    return flask.send_from_directory(shelf(), name, conditional=True)


@application.get("/numbers/<int:count>")
def numbers(count):
    """Lines that are generated one by one, so they are never in memory together."""
    return flask.Response((f"{number}\n" for number in range(count)), mimetype="text/plain")


@application.get("/error")
def error():
    raise RuntimeError("an error on purpose: the client gets a 500, the log gets this")


@application.errorhandler(400)
@application.errorhandler(401)
@application.errorhandler(404)
@application.errorhandler(413)
def explain(problem):
    return {"error": problem.description}, problem.code
