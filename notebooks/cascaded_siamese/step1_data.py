# %% [markdown]
# # Step 1 · Data: a first frame, a song, and 32 frames
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step1_data.ipynb)
#
# Each item is a short video and its sound. The words of this series are those of the
# paper: a **video** is the whole item of 32 frames, a **clip** is a
# quarter of it, 8 frames, and a **segment** is the sound that belongs to one frame.

# %% tags=["active-ipynb"]
# import importlib.util
# import subprocess
# import sys
#
# if "google.colab" in sys.modules and not importlib.util.find_spec("avnb"):
#     # Colab lacks the course. Its own torch is kept, so that no restart is needed.
#     print("Installing avnb takes about two minutes ...")
#     source = "avnb @ git+https://github.com/avnb/avnb"
#     subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
#     importlib.invalidate_caches()

# %%
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from avnb.data import clips as prepared
from avnb.errors import ClipsError

# %%
FRAMES = 32  # of a video
FPS = 25
SAMPLE_RATE = 16000  # Hz
BESIDE = 3  # frames before and behind a video whose sound is heard in it
SAMPLES = (FRAMES + 2 * BESIDE) * SAMPLE_RATE // FPS  # 24,320: 1.52 s


# %%
@dataclass(frozen=True)
class Clips:
    """N videos of 32 frames, and their sound from 3 frames before to 3 frames behind.

    Attributes:
        frames: frame t is seen from t / 25 s on.
        waveforms: in [-1, 1]; frame t begins at sample (t + 3) · 640.
        labels: index into ``classes``.
        classes: names of the letters, or of the persons.
        units: N names of what is independent: the source video, or the person.
        held: True where the last frame is held, because the recording is shorter.
        fps: frames a second.
        truth: name → what is known at each frame, where it is known.
    """

    frames: UInt8[Tensor, "N T H W 3"]
    waveforms: Float[Tensor, "N samples"]
    labels: Int64[Tensor, " N"]
    classes: tuple[str, ...]
    units: list[str]
    held: Bool[Tensor, "N T"]
    fps: int = FPS
    truth: dict[str, Float[Tensor, "N T"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def get_frames(self, index: Tensor) -> Float[Tensor, "B 3 T H W"]:
        """Videos in [-1, 1], as the networks take and make them."""
        return self.frames[index].permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def get_waveforms(self, index: Tensor) -> Float[Tensor, "B samples"]:
        """Their sound in [-1, 1], with what is heard beside."""
        return self.waveforms[index]


# %%
def load_clips(
    folder: Path | str, split: str, device: torch.device | str | None = None
) -> Clips:
    """Load a split of prepared clips whole.

    Args:
        folder: prepared clips of 1.52 s, 25 fps and 16 kHz. Their truth may hold the
            column ``held``.
        split: "train" or "test".
        device: that holds them; the CPU by default.

    Raises:
        ClipsError: clips of another length or rate.
    """
    loaded = prepared.load_clips(folder, split, device or "cpu")
    waveforms = loaded.waveform[:, 0].float() / 32767
    given = (loaded.sample_rate, waveforms.shape[1], loaded.frames.shape[1])
    if given != (SAMPLE_RATE, SAMPLES, FRAMES + 2 * BESIDE):
        raise ClipsError(
            f"{folder}/{split}",
            f"its clips have {given[1]} samples at {given[0]} Hz and {given[2]} frames,"
            f" not {SAMPLES} at {SAMPLE_RATE} Hz and {FRAMES + 2 * BESIDE}",
            "Prepare them with avnb prepare phonics or vidtimit",
        )
    shown = slice(BESIDE, BESIDE + FRAMES)
    truth = {name: values[:, shown] for name, values in loaded.truth.items()}
    frames = loaded.frames[:, shown]
    held = truth.pop("held", torch.zeros(frames.shape[:2], device=frames.device))
    return Clips(
        frames=frames,
        waveforms=waveforms,
        labels=loaded.labels,
        classes=tuple(loaded.classes),
        units=loaded.units,
        held=held == 1,
        truth=truth,
    )
