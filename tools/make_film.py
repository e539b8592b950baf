"""Draw README's film: three performers of the bandstand, one after another.

python tools/make_film.py FOLDER [--seconds 2.5] [--seed 0]

Writes `bandstand.mp4`, with its sound, and `bandstand.gif`, the same pictures without
it, which GitHub shows in the page. All of it is drawn by `data_scripts.bandstand`:
nothing is recorded, so nobody's rights are touched (CC BY 4.0, LICENSE-TEXTS.md).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from avnb import files
from avnb.media import Clip, write_clip
from data_scripts.bandstand.performers import record_take

PERFORMERS = ("melodic", "percussive", "harmonic")
FPS, RATE = 15, 32000
SIZE, SMALL = 160, 160  # pixels a side: of the MP4, and of the GIF
COLOURS = 48  # of the GIF


def draw_film(seconds: float, seed: int) -> Clip:
    """Draw all performers side by side: each plays in turn while the others wait."""
    strips, sounds = [], []
    for place, performer in enumerate(PERFORMERS):
        take = record_take(performer, player=6, seconds=seconds + 1, seed=seed)
        # The first moments are silence in which the player gets ready.
        times = 0.5 + np.arange(round(seconds * FPS)) / FPS
        frames = np.stack([take.draw(float(t), SIZE) for t in times])
        sound = take.synthesise(RATE)[round(0.5 * RATE) :][: round(seconds * RATE)]
        # Who waits stands still, and pale, so that it is seen who is heard.
        waiting = (127 + frames[[0, -1]] / 2).astype(np.uint8)
        before = np.repeat(waiting[:1], place * len(frames), axis=0)
        rest = len(PERFORMERS) - 1 - place
        after = np.repeat(waiting[1:], rest * len(frames), axis=0)
        strips.append(np.concatenate([before, frames, after]))
        sounds.append(fade(sound))
    # (T, H, W, 3) each → one picture beside the other
    return Clip(np.concatenate(strips, axis=2), np.concatenate(sounds)[None], FPS, RATE)


def fade(sound: np.ndarray, samples: int = 800) -> np.ndarray:
    """A sound whose beginning and end do not click where it is cut."""
    slope = np.minimum(1, np.arange(len(sound)) / samples)
    faded: np.ndarray = (sound * slope * slope[::-1]).astype(np.float32)
    return faded


def write_gif(path: Path, frames: np.ndarray) -> None:
    """Write pictures as an endless GIF, every second one, in few colours."""
    size = (SMALL * len(PERFORMERS), SMALL)
    images = [Image.fromarray(frame).resize(size) for frame in frames[::2]]
    # One palette for all: colours that change from picture to picture would flicker.
    palette = images[len(images) // 2].quantize(COLOURS)
    few = [image.quantize(palette=palette, dither=0) for image in images]
    with files.atomic_path(path) as partial:
        few[0].save(
            partial, "GIF", save_all=True, append_images=few[1:], loop=0,
            duration=round(2000 / FPS),
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=2.5, help="of each performer")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    film = draw_film(asked.seconds, asked.seed)
    write_clip(asked.folder / "bandstand.mp4", film)
    write_gif(asked.folder / "bandstand.gif", film.frames)
    for path in sorted(asked.folder.glob("bandstand.*")):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
