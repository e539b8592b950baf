from .exercises import Exercise, show_hint, try_exercise
from .lesson import Lesson, LessonError, start
from .settings import SCALES, Settings
from .source_view import show_source

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
