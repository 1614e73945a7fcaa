"""Django's admin, in one file, for applications.py: a project with a database in $ADMIN_FOLDER and the user ada."""

import os
import pathlib

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

FOLDER = pathlib.Path(os.environ["ADMIN_FOLDER"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "admin.sqlite3"}},
    INSTALLED_APPS=[f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    # A hash that takes a second would be most of the test.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    STATIC_ROOT=FOLDER / "static",
    STATIC_URL="static/",
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()

from django.contrib import admin  # noqa: E402  (needs the settings)

urlpatterns = [path("admin/", admin.site.urls)]
application = get_wsgi_application()


def prepare():
    """Makes the tables, the user and the collected files, before the server starts."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_superuser("ada", "ada@test.example", "lovelace")
    call_command("collectstatic", link=True, interactive=False, verbosity=0)


if __name__ == "__main__":
    prepare()
