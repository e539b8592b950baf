"""Turn waveforms into STFT, mel, log-mel, MFCC and CQT, and back to sound.

Every transform is an `nn.Module` that takes (..., samples) and gives
(..., bins, frames): each leading index is a clip of its own. The numbers are
librosa's (its defaults: centred frames, zero padding, periodic Hann window, Slaney
mels), on CPU or GPU, for whole batches, and gradients flow through.

`spectrograms` holds the transforms of every audio library, `cqt` the constant-Q
transform, `network_inputs` what two networks want at their inputs, and `inversion`
the way back to sound.
"""

from avnb.features.cqt import CQT
from avnb.features.inversion import griffin_lim, mel_to_magnitude, mel_to_waveform
from avnb.features.network_inputs import CHUNK_COLUMNS, ChunkFeatures, VGGishMel
from avnb.features.spectrograms import (
    MFCC,
    STFT,
    LogMel,
    Mel,
    db_to_power,
    make_mel_filters,
    power_to_db,
    scale_db,
    unscale_db,
)

__all__ = [
    "CHUNK_COLUMNS",
    "CQT",
    "MFCC",
    "STFT",
    "ChunkFeatures",
    "LogMel",
    "Mel",
    "VGGishMel",
    "db_to_power",
    "griffin_lim",
    "make_mel_filters",
    "mel_to_magnitude",
    "mel_to_waveform",
    "power_to_db",
    "scale_db",
    "unscale_db",
]
