"""The exercises of the course, and their judge."""

from lib import PROJECT

EXERCISES = PROJECT / "scripts" / "gradekit" / "exercises"
SOLUTIONS = PROJECT / "tests" / "solutions"
LANGUAGES = "en", "ru"
