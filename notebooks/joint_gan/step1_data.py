# %%
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from avnb.data import clips as prepared
from avnb.errors import ClipsError

# %%
SAMPLES = 16384  # of a clip's sound: 4^5 * 16, what WaveGAN's five layers make of 16
SAMPLE_RATE = 16000  # Hz, so a clip's sound lasts 1.024 s
SILENCE = -50.0  # dB of full scale; a clip whose RMS is below it counts as silent


# %%
@dataclass(frozen=True)
class Clips:
    """N clips of one second: T frames, and sound that goes on for 24 ms more.

    Attributes:
        frames: frame t is seen from t / fps s on.
        waveforms: in [-1, 1].
        labels: index into ``classes``. No network is trained with them.
        classes: names of the instruments.
        units: N names of what is independent: the source video, or the player.
        fps: T, frames a second.
        silent: how many clips of the split were left out because they are silent.
        truth: name → what is known at each frame, where it is known.
    """

    frames: UInt8[Tensor, "N T H W 3"]
    waveforms: Float[Tensor, "N samples"]
    labels: Int64[Tensor, " N"]
    classes: tuple[str, ...]
    units: list[str]
    fps: int
    silent: int = 0
    truth: dict[str, Float[Tensor, "N T"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def get_frames(self, index: Tensor) -> Float[Tensor, "B 3 T H W"]:
        """Frames in [-1, 1], as the picture's networks take and make them."""
        return self.frames[index].permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def get_waveforms(self, index: Tensor) -> Float[Tensor, "B 1 samples"]:
        """Waveforms in [-1, 1], as the sound's networks take and make them."""
        return self.waveforms[index][:, None]

    def get_onsets(self, hand: str = "") -> Bool[Tensor, "N T"]:
        """Whether something starts in a frame; of one hand, "left" or "right"."""
        name = f"onset_{hand}" if hand else "onset"
        if name not in self.truth:
            raise ClipsError(
                name, "nobody knows it of these clips", "Use the embedded data"
            )
        return self.truth[name] == 1


# %%
def load_clips(
    folder: Path | str, split: str, device: torch.device | str | None = None
) -> Clips:
    """Load a split of prepared clips whole, without its silent clips.

    Args:
        folder: prepared clips of 1.024 s at 16 kHz, one a second.
        split: "train" or "test".
        device: that holds them; the CPU by default.

    Raises:
        ClipsError: clips of another length, of one class only, or silent all of them.
    """
    loaded = prepared.load_clips(folder, split, device or "cpu")
    waveforms = loaded.waveform[:, 0].float() / 32767
    rate, length = loaded.sample_rate, waveforms.shape[1]
    if (rate, length) != (SAMPLE_RATE, SAMPLES):
        raise ClipsError(
            f"{folder}/{split}",
            f"its clips have {length} samples at {rate} Hz, not {SAMPLES} at "
            f"{SAMPLE_RATE}",
            "Prepare them with avnb prepare hmmd or sub_urmp_video",
        )
    if len(loaded.classes) < 2:
        raise ClipsError(
            f"{folder}/{split}",
            f"it holds one class only ({loaded.classes[0]}): nobody could tell which "
            "sound belongs to which picture",
            "Prepare a folder with two sub-folders or more, one a class",
        )
    level = 20 * waveforms.square().mean(1).sqrt().clamp(min=1e-6).log10()
    heard = level > SILENCE
    if not heard.any():
        raise ClipsError(
            f"{folder}/{split}", "all of its clips are silent", "Check their sound"
        )
    kept = loaded.select(heard)
    frames = int(loaded.fps)  # of the first second; 25 Hz has another one in 1.024 s
    return Clips(
        frames=kept.frames[:, :frames],
        waveforms=waveforms[heard],
        labels=kept.labels,
        classes=tuple(kept.classes),
        units=kept.units,
        fps=frames,
        silent=len(loaded) - len(kept),
        truth={name: values[:, :frames] for name, values in kept.truth.items()},
    )


# %%
def require_clips(clips: Clips, count: int) -> None:
    """Refuse a split that is smaller than a batch.

    Raises:
        ClipsError: it holds fewer than `count` clips.
    """
    if len(clips) < count:
        raise ClipsError(
            "clips",
            f"there are {len(clips)}, fewer than a batch of {count}",
            "Give more recordings, or a smaller batch",
        )
