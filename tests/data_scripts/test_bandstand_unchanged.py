"""The worlds that stand keep their people, scores and cameras when others join them."""

import numpy as np
import pytest

from data_scripts import bandstand
from data_scripts.bandstand.scene import choose_view

# Measured before the hands of `data_scripts.bandstand.hands` joined the world: mean
# brightness of a frame, RMS of the sound, place of the head and of the right hand.
KNOWN = {
    "bassoon": (76.1, 0.1423, (0.64, 0.274, 0.734, 0.749)),
    "cello": (75.8, 0.2019, (0.63, 0.276, 0.946, 0.778)),
    "clarinet": (79.6, 0.089, (0.347, 0.274, 0.483, 0.62)),
    "double_bass": (78.6, 0.1596, (0.668, 0.271, 0.559, 0.956)),
    "flute": (81.1, 0.051, (0.355, 0.275, 0.642, 0.367)),
    "horn": (83.4, 0.1931, (0.355, 0.27, 0.524, 0.744)),
    "oboe": (78.8, 0.1938, (0.37, 0.27, 0.392, 0.593)),
    "sax": (83.5, 0.1083, (0.343, 0.276, 0.476, 0.643)),
    "trombone": (83.8, 0.1063, (0.347, 0.275, 0.545, 0.389)),
    "trumpet": (81.5, 0.2031, (0.356, 0.27, 0.564, 0.293)),
    "tuba": (85.6, 0.1304, (0.651, 0.272, 0.564, 0.498)),
    "viola": (77.8, 0.1957, (0.623, 0.277, 0.73, 0.596)),
    "violin": (77.1, 0.107, (0.648, 0.273, 0.686, 0.537)),
}


def test_the_orchestra_has_its_thirteen() -> None:
    assert tuple(KNOWN) == bandstand.INSTRUMENTS


@pytest.mark.parametrize("instrument", ["bassoon", "cello", "sax", "violin"])
def test_a_musician_is_the_one_of_before(instrument: str) -> None:
    brightness, rms, places = KNOWN[instrument]
    played = bandstand.perform(instrument, 4, seconds=3, seed=9)
    view = choose_view(played)
    frame = bandstand.draw(played, 1.3, 64, view)
    sound = bandstand.synthesise(played, 16000)
    pose = bandstand.measure_pose(played, [1.3], view)[0, :4]
    assert frame.mean() == pytest.approx(brightness, abs=0.06)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(rms, abs=2e-4)
    np.testing.assert_allclose(pose, places, atol=6e-4)
