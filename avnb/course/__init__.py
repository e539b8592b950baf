"""What every notebook uses: settings, records, exercises, and the source of things.

Most notebooks import this package and nothing below it::

    lesson = course.start("ms_vae", "step6_train", scale=SCALE, ...)
    settings = lesson.settings(dict(epochs=(2, 150, 60, 60)))
    course.show_source(MSVAE)
    course.try_exercise(exercises.TWO_ADAMS, two_adams)
    lesson.finish()

Its names stand in `__init__.pyi`. Each is imported where it is first used, because the
command `avnb` lies in this package too, and `avnb --help` must not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
