"""The errors of avnb: each says where, what is wrong, and what to do about it.

The command line prints an :class:`AvnbError` as one plain message. Any other exception
is a mistake in our code and keeps its traceback.
"""

import os


class AvnbError(Exception):
    """Something that the reader can put right: "place: problem. remedy".

    Args:
        place: the file, field or name at fault.
        problem: what is wrong with it.
        remedy: what to do: a whole sentence or a command.
    """

    def __init__(
        self, place: str | os.PathLike[str], problem: str, remedy: str
    ) -> None:
        self.place, self.problem, self.remedy = place, problem, remedy
        super().__init__(f"{place}: {problem}. {remedy}")

    def __reduce__(
        self,
    ) -> tuple[type["AvnbError"], tuple[str | os.PathLike[str], str, str]]:
        # A pickle calls the class again, by default with the whole message as its one
        # argument. Worker processes send their errors as pickles.
        return type(self), (self.place, self.problem, self.remedy)


class WriteError(AvnbError):
    """A file or folder that cannot be written."""


class MediaError(AvnbError):
    """A media file that cannot be read or written."""


class ClipsError(AvnbError, ValueError):
    """Sources, settings or prepared clips that cannot be right."""


class LeakError(ClipsError):
    """The same recording would lie in two splits."""


class DownloadError(AvnbError):
    """A download or an archive that cannot be had or trusted."""


class WeightsError(AvnbError):
    """Pretrained weights that cannot be had or used."""


class CheckpointError(AvnbError):
    """A checkpoint that cannot be used."""


class LessonError(AvnbError):
    """A series, step, scale, setting or run folder that is not as it should be."""


class UploadError(AvnbError):
    """An uploaded file that is neither a picture nor a sound."""
