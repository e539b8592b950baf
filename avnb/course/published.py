"""Networks of a series' reference run that a shorter run takes instead of training."""

import shutil

from avnb.course.folders import PACKAGES
from avnb.course.lesson import Lesson


def copy_models(lesson: Lesson, *names: str) -> bool:
    """Copy published networks into the folder `models` of a run, or say why not.

    Networks of the reference run know the classes of the embedded data. So a run on
    other data trains its own.

    Args:
        lesson: whose run.
        names: of the files, without `.safetensors`.

    Returns:
        Whether they are there now. If not, a printed sentence says that the networks
        are trained here.
    """
    if lesson.chosen_data:
        print("These are your own data, so the networks are trained here.")
        return False
    weights = PACKAGES / "results" / lesson.series / "weights"
    sources = [weights / f"{name}.safetensors" for name in names]
    absent = [path.stem for path in sources if not path.is_file()]
    if absent:
        print(f"No reference weights are published for {', '.join(absent)}.")
        print("So the networks of this notebook are trained here.")
        return False
    models = lesson.run_dir / "models"
    models.mkdir(parents=True, exist_ok=True)
    for path in sources:
        shutil.copyfile(path, models / path.name)
    print(f"From the reference run: {', '.join(names)}.")
    return True
