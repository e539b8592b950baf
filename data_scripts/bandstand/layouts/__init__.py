"""The bandstand written to disk as the real data sets are laid out.

Whatever reads URMP, the released Sub-URMP or AVE reads these folders too. What each
layout is (file names, rates, codes) stands in the script that reads the real set; the
writers here import it.

Beside the layout's own files stands ``truth/``. It holds one Parquet table a recording,
``recordings.TRUTH_RATE`` rows a second, and one JSON file a finished recording. The
JSON names the settings that the recording was made with, so an interrupted run goes on
where it stopped and a change of settings is noticed. Where musicians play,
``units.csv`` says who plays each recording.

The columns of the truth are time (s), pitch_hz (0 = silent), loudness (0..1), onset (1
where a note starts before the next row, else 0), metre (the share of the picture's
height that a metre takes), mirror (-1 where left and right are exchanged, else 1), and
one for each name of `picture.POSE_NAMES`. Long videos and AVE's events have the columns
that `performers.Take.measure` and `events.EventTake.measure` name.
"""

from data_scripts.bandstand.layouts.ave import write_ave
from data_scripts.bandstand.layouts.sub_urmp import write_sub_urmp
from data_scripts.bandstand.layouts.urmp import write_urmp
from data_scripts.bandstand.layouts.video import write_video

__all__ = ["write_ave", "write_sub_urmp", "write_urmp", "write_video"]
