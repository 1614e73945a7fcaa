"""A board for pinned notes, with Django in one file: a form, a session, files, and a download that streams.

    pip install django
    stheno-wsgi board_django:application          # then open http://127.0.0.1:9000/

Notes are stored in BOARD_FOLDER, or in a new folder in the system's temporary folder.
"""

import csv
import os
import pathlib
import tempfile

import django
from django.conf import settings

FOLDER = pathlib.Path(os.environ.get("BOARD_FOLDER", pathlib.Path(tempfile.gettempdir()) / "stheno-board"))
FOLDER.mkdir(exist_ok=True)

settings.configure(
    # Signs sessions and forms. All workers need the same key, so it is not random.
    SECRET_KEY=os.environ.get("BOARD_SECRET", "only for trying it out"),
    ALLOWED_HOSTS=["localhost", "127.0.0.1", "[::1]"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "board.sqlite3",
                           "OPTIONS": {"timeout": 20}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MEDIA_ROOT=FOLDER / "files",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}],
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django import forms  # noqa: E402 (Django needs its settings first)
from django.core.exceptions import ValidationError  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import FileResponse, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.shortcuts import get_object_or_404, redirect  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_GET, require_http_methods  # noqa: E402

COLOURS = ["verd", "bronze", "sky", "plum"]
LARGEST = 200 << 20


class Note(models.Model):
    name = models.CharField(max_length=40)
    text = models.TextField(max_length=400)
    colour = models.CharField(max_length=10)
    file = models.FileField(upload_to="pinned", blank=True)
    made = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "board"
        ordering = ["-id"]

    def file_name(self):
        return pathlib.Path(self.file.name).name


# All workers do this when they start, at the same time.
with connection.cursor() as cursor:
    cursor.execute("""CREATE TABLE IF NOT EXISTS board_note (id integer PRIMARY KEY AUTOINCREMENT, name varchar(40) NOT NULL,
                      text text NOT NULL, colour varchar(10) NOT NULL, file varchar(100) NOT NULL, made datetime NOT NULL)""")
connection.close()


class NoteForm(forms.ModelForm):
    colour = forms.ChoiceField(choices=[(colour, colour) for colour in COLOURS], widget=forms.RadioSelect, initial="verd")

    class Meta:
        model = Note
        fields = ["name", "text", "colour", "file"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4})}
        labels = {"text": "Note", "file": "Something to pin to it"}

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file and file.size > LARGEST:
            raise ValidationError(f"{LARGEST >> 20} MiB at the most.")
        return file


@require_http_methods(["GET", "HEAD", "POST"])
def board(request):
    """Shows the page, and takes its form."""
    form = NoteForm(request.POST or None, request.FILES or None, initial={"name": request.session.get("name", "")})
    if request.method == "POST" and form.is_valid():
        note = form.save()
        request.session["name"] = note.name
        request.session["pinned"] = request.session.get("pinned", 0) + 1
        return redirect("/")
    page = engines["django"].from_string(PAGE)
    notes = list(Note.objects.all()[:60])
    context = {"form": form, "notes": notes, "count": Note.objects.count(), "pinned": request.session.get("pinned", 0),
               "name": request.session.get("name"), "server": request.META.get("SERVER_SOFTWARE", "stheno")}
    return HttpResponse(page.render(context, request), status=422 if form.errors else 200)


@require_GET
def file(request, number):
    """Sends the file of a note through wsgi.file_wrapper: the kernel copies it."""
    note = get_object_or_404(Note, id=number)
    if not note.file:
        return HttpResponse("this note has no file", status=404, content_type="text/plain")
    return FileResponse(note.file.open("rb"), as_attachment=True, filename=note.file_name())


class Line:
    """A file for the csv module: `write` returns its argument."""

    @staticmethod
    def write(text):
        return text


@require_GET
def notes_csv(request):
    """Streams all notes, a line at a time, in the memory of a few."""
    writer = csv.writer(Line)

    def lines():
        yield writer.writerow(["made", "name", "text", "file"])
        for note in Note.objects.iterator(chunk_size=100):
            yield writer.writerow([note.made.isoformat(), note.name, note.text, note.file_name() if note.file else ""])
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8",
                                 headers={"Content-Disposition": 'attachment; filename="notes.csv"'})


@require_GET
def error(request):
    raise RuntimeError("an error on purpose: the client gets a 500, the log gets this")


urlpatterns = [path("", board), path("file/<int:number>", file), path("notes.csv", notes_csv), path("error", error)]
application = get_wsgi_application()

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The board</title>
<style>
  :root {
    color-scheme: light dark;
    --paper: #f4f7f5; --panel: #fcfdfc; --ink: #12201c; --soft: #48605a; --rule: #c6d3cd;
    --verd: #0a6b5e; --bronze: #85520b; --sky: #255fa3; --plum: #71459a; --error: #ab2f2a;
    --serif: "Iowan Old Style", "Palatino Linotype", Palatino, P052, "Noto Serif", Georgia, serif;
    --sans: system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --paper: #0e1715; --panel: #14201d; --ink: #e3ece8; --soft: #a2b5ae; --rule: #2c3c37;
      --verd: #66cfb9; --bronze: #e0ae62; --sky: #86b6f3; --plum: #c7a0ee; --error: #f28d83;
    }
  }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 var(--sans); }
  .page { max-width: 72rem; margin: 0 auto; padding: clamp(1.5rem, 5vw, 3.5rem) clamp(1rem, 4vw, 2.5rem); }
  h1 { font: 400 clamp(2.2rem, 6vw, 3.6rem)/1.05 var(--serif); margin: 0; letter-spacing: -.02em; }
  .lead { color: var(--soft); margin: .6rem 0 2.5rem; max-width: 40rem; }
  .lead b { color: var(--ink); font-weight: 600; }
  .sides { display: grid; gap: 2.5rem; grid-template-columns: minmax(0, 19rem) minmax(0, 1fr); align-items: start; }
  @media (max-width: 48rem) { .sides { grid-template-columns: minmax(0, 1fr); } }
  form { background: var(--panel); border: 1px solid var(--rule); border-radius: .75rem; padding: 1.25rem; }
  form > div { margin-bottom: 1rem; }
  label { display: block; font-size: .875rem; font-weight: 600; margin-bottom: .3rem; }
  input:not([type=radio]), textarea {
    width: 100%; padding: .55rem .7rem; font: inherit; color: inherit; background: var(--paper);
    border: 1px solid var(--rule); border-radius: .4rem; resize: vertical;
  }
  input[type=file] { font-size: .875rem; padding: .4rem; }
  fieldset { border: 0; padding: 0; margin: 0; display: flex; gap: .75rem; }
  legend { font-size: .875rem; font-weight: 600; padding: 0; margin-bottom: .3rem; }
  .dot { display: block; margin: 0; cursor: pointer; }
  .dot input { position: absolute; opacity: 0; }
  .dot span { display: block; width: 1.75rem; height: 1.75rem; border-radius: 50%; background: var(--colour); }
  .dot input:checked + span { outline: 2px solid var(--colour); outline-offset: 3px; }
  :focus-visible, .dot input:focus-visible + span { outline: 2px solid var(--sky); outline-offset: 3px; }
  button {
    width: 100%; padding: .65rem; font: inherit; font-weight: 600; cursor: pointer; border: 0; border-radius: .4rem;
    background: var(--verd); color: var(--paper);
  }
  .errorlist { color: var(--error); margin: .3rem 0 0; padding: 0; list-style: none; font-size: .875rem; }
  .notes { columns: 15rem; column-gap: 1.25rem; }
  .note {
    break-inside: avoid; margin: 0 0 1.25rem; padding: 1.1rem 1.2rem 1rem; background: var(--panel);
    border: 1px solid var(--rule); border-top: 4px solid var(--colour); border-radius: .5rem;
  }
  .note p { font: 1.125rem/1.45 var(--serif); margin: 0 0 .8rem; overflow-wrap: anywhere; white-space: pre-line; }
  .note footer { font-size: .8125rem; color: var(--soft); }
  .note footer b { color: var(--colour); }
  .note a { display: block; margin-top: .35rem; overflow-wrap: anywhere; }
  a { color: var(--verd); }
  .empty { color: var(--soft); font: italic 1.125rem var(--serif); }
  .end { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: .875rem; color: var(--soft); }
</style>
<div class="page">
  <h1>The board</h1>
  <p class="lead">
    {% if count %}<b>{{ count }}</b> note{{ count|pluralize }} {% if count == 1 %}hangs{% else %}hang{% endif %} here.
    {% else %}Nothing hangs here yet.{% endif %}
    {% if pinned %}You, <b>{{ name }}</b>, have pinned {{ pinned }} of them.{% endif %}
  </p>
  <div class="sides">
    <form method="post" enctype="multipart/form-data">
      {% csrf_token %}
      <div><label for="id_name">{{ form.name.label }}</label>{{ form.name }}{{ form.name.errors }}</div>
      <div><label for="id_text">{{ form.text.label }}</label>{{ form.text }}{{ form.text.errors }}</div>
      <div>
        <fieldset><legend>Colour</legend>
          {% for radio in form.colour %}
          <label class="dot" style="--colour: var(--{{ radio.data.value }})" title="{{ radio.choice_label }}">
            {{ radio.tag }}<span></span>
          </label>
          {% endfor %}
        </fieldset>{{ form.colour.errors }}
      </div>
      <div><label for="id_file">{{ form.file.label }}</label>{{ form.file }}{{ form.file.errors }}</div>
      <button>Pin it</button>
    </form>
    <main class="notes">
      {% for note in notes %}
      <article class="note" style="--colour: var(--{{ note.colour }})">
        <p>{{ note.text }}</p>
        <footer>
          <b>{{ note.name }}</b>, {{ note.made|date:"j F Y, H:i" }}
          {% if note.file %}<a href="/file/{{ note.id }}">{{ note.file_name }} ({{ note.file.size|filesizeformat }})</a>{% endif %}
        </footer>
      </article>
      {% empty %}
      <p class="empty">The first note is yours.</p>
      {% endfor %}
    </main>
  </div>
  <p class="end"><a href="/notes.csv">All notes as a table</a>, which streams. Django on {{ server }}.</p>
</div>
</html>
"""
