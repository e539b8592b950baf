"""Read media files into arrays and write them: pictures and sound on one clock.

Reading goes through PyAV, which carries FFmpeg inside its wheel. The arrays hold what
a player would show and play:

- The clock starts at 0 where the file's earliest track starts. The frame at output
  time t is the last one whose time stamp is not after t, so files with a variable
  frame rate keep their timing. Before the first frame, the first one is shown.
- A clip is as long as its picture. Sound that starts late or ends early is padded
  with zeros, and sound that outlasts the picture is cut.
- Rotation, reflection and pixels that are not square are applied. Sizes and crops
  refer to the picture as it is displayed.

A file that cannot be read raises `MediaError`, which names the file, the problem and
the remedy. A damaged file is still read if at most `containers.MAX_LOST` of its
packets cannot be decoded and it is not cut short: the picture before a lost packet
stays, and lost sound becomes silence.

Files are not trusted. Only formats that hold their media themselves are opened (no
playlist that names other files or addresses), and no header can make us allocate more
than `containers.LIMIT_PIXELS` for a frame or `containers.LIMIT_BYTES` for a result.

The modules, from the bottom up: `containers` opens files and checks their tracks,
`decoding` gives one track's frames with their times, `pictures` turns a frame into a
displayed picture, `sounds` resamples, `reading` and `writing` hold the functions that
this package offers.
"""

from avnb.media.containers import Crop, Number, list_tracks, measure_duration
from avnb.media.reading import (
    Clip,
    Probe,
    iter_clips,
    probe,
    read_audio,
    read_clip,
    read_frames,
    read_image,
)
from avnb.media.sounds import resample
from avnb.media.writing import write_audio, write_clip, write_frames

__all__ = [
    "Clip",
    "Crop",
    "Number",
    "Probe",
    "iter_clips",
    "list_tracks",
    "measure_duration",
    "probe",
    "read_audio",
    "read_clip",
    "read_frames",
    "read_image",
    "resample",
    "write_audio",
    "write_clip",
    "write_frames",
]
