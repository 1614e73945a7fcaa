"""The course as a book (docs/book)."""

from lib import PROJECT

BOOK = PROJECT / "docs" / "book"
TARGET = PROJECT / "target" / "book"
LANGUAGES = "en", "ru"
# The chapters that are not about one rung.
OTHERS = "index", "teacher"
CHAPTERS = ("01-one-client", "02-queue-and-law", "03-threads", "04-pools-and-processes", "05-select", "06-readiness", "07-one-turn",
            "08-terminators-and-producers", "09-time", "10-back-pressure", "11-many-workers", "12-wakers-and-executors",
            "13-measuring")


def page(language, name):
    return BOOK / language / "src" / f"{name}.md"
