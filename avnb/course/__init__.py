"""What every notebook uses: settings, records, exercises, and the source of things.

Most notebooks import this package and nothing below it::

    lesson = course.start("ms_vae", "step6_train", scale=SCALE, ...)
    settings = lesson.settings(dict(epochs=(2, 150, 60, 60)))
    course.show_source(MSVAE)
    course.try_exercise(exercises.TWO_ADAMS, two_adams)
    lesson.finish()
"""

from avnb.course.exercises import Exercise, show_hint, try_exercise
from avnb.course.lesson import Lesson, start
from avnb.course.settings import SCALES, Settings
from avnb.course.source_view import show_source
from avnb.errors import LessonError

__all__ = [
    "SCALES",
    "Exercise",
    "Lesson",
    "LessonError",
    "Settings",
    "show_hint",
    "show_source",
    "start",
    "try_exercise",
]
