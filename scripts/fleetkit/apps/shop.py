"""A Django project in one file, as `scripts/fleet` serves it on several hosts: a session in a store that all hosts share.

    GET /     the session's count; the first one sets the cookies
    POST /    adds one to it

$SESSIONS names the store: `redis` (Django's cache backend) or `postgresql` (Django's database backend), on the host `store`.
`python shop.py migrate` makes the tables.
"""

import os
import socket
import sys

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

# A deployment replaces this number: an answer shows which code gave it.
RELEASE = 1
POSTGRESQL = os.environ.get("SESSIONS") == "postgresql"

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "store", "USER": "postgres", "NAME": "postgres",
                           # A thread keeps its connection, and tries it at the begin of a request.
                           "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}} if POSTGRESQL else {},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://store:6379/0"}},
    SESSION_ENGINE=f"django.contrib.sessions.backends.{'db' if POSTGRESQL else 'cache'}",
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    # Every host has the same one, or no host reads the cookies of another.
    SECRET_KEY="of a fleet on one machine",
)
django.setup()

from django.views.decorators.csrf import ensure_csrf_cookie  # noqa: E402  (needs the settings)

HOST = socket.gethostname()


@ensure_csrf_cookie
def count(request):
    number = request.session.get("count", 0) + (request.method == "POST")
    if request.method == "POST" or not request.session.session_key:
        request.session["count"] = number
    return JsonResponse({"count": number, "host": HOST, "release": RELEASE, "client": request.META["REMOTE_ADDR"]})


urlpatterns = [path("", count)]
application = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
