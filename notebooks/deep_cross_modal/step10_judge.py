# %% [markdown]
# # Step 10 · Judging: what holds?
#
# Generated pictures are easy to admire and hard to grade. This notebook grades them
# in five ways, puts beside every number the rows that keep it honest (chance, the
# trivial answer, the real thing) and then goes through the paper's claims one by
# one.

# %% tags=["active-ipynb"]
FIRST_CELL

# %%
import torch
from IPython.display import display
from step1_data import load_pairs
from step2_sound import SoundClassifier, StackedAutoencoder, Standard, representation
from step4_image import ImageClassifier, Judge, to_bytes, to_network
from step6_sound_to_image import Generator
from step8_image_to_sound import SpectrogramGenerator, from_network
from step8_image_to_sound import to_network as to_34_frames
from torch import Tensor, nn

from avnb import lessons, metrics, show, training, widgets

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

# %%
lesson = lessons.start(
    "deep_cross_modal",
    "step10_judge",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)
settings = lessons.settings(
    SCALE,
    OVERRIDES,
    dict(
        #            smoke laptop  gpu    paper
        judged=(16, 1000, 5000, 17555),  # at most so many pairs of each split
        subset=(4, 100, 500, 1000),  # of KID
        sets=(2, 10, 10, 10),  # of the human study, for each instrument
    ),
)
settings

# %%
device = training.device()
pairs = {split: load_pairs(lesson.data, split, device) for split in ("train", "test")}
classes = pairs["test"].classes
models = lesson.need("models", "step9_image_to_sound_train")


def network(name: str, cls: type[nn.Module]) -> nn.Module:
    """A finished network of this run."""
    return training.load_model(models / f"{name}.safetensors", cls).to(device).eval()


lms = representation("LMS", pairs["test"].sample_rate).to(device)
judge, ear = network("image_judge", Judge), network("ear", Judge)
gamma = network("image_encoder", ImageClassifier)
listeners = {
    "classifier": network("sound_encoder", SoundClassifier),
    "autoencoder": network("autoencoder", StackedAutoencoder),
}
standards = {name: network(f"standard_{name}", Standard) for name in (*listeners, "image")}

# %%
fixed = torch.Generator().manual_seed(SEED)
chosen = {
    split: torch.randperm(len(of), generator=fixed)[: settings.judged].to(device)
    for split, of in pairs.items()
}
labels = {split: of.labels[chosen[split]] for split, of in pairs.items()}
recordings = {
    split: [of.recordings[i] for i in chosen[split].tolist()] for split, of in pairs.items()
}
real = {
    split: to_network(of.pictures[chosen[split]]).cpu() for split, of in pairs.items()
}


@torch.no_grad()
def in_parts(f, *inputs: Tensor) -> Tensor:
    """`f` over batches of 256, gathered on the CPU."""
    parts = zip(*(x.split(256) for x in inputs), strict=True)
    return torch.cat([f(*(x.to(device) for x in part)).float().cpu() for part in parts])


# %% [markdown]
# ## Paint and play for every judged pair

# %%
VARIANTS = {"S2I-C": "classifier", "S2I-N": "classifier", "S2I-A": "autoencoder"}


def paint(name: str, hearing: str, split: str) -> Tensor:
    """Pictures (n, 3, 64, 64) that a network paints for the judged sounds."""
    G = network(name, Generator)
    encoder, standard = listeners[hearing], standards[hearing]
    z = torch.randn(len(chosen[split]), G.noise, generator=fixed)

    def one(index: Tensor, z: Tensor) -> Tensor:
        return G(z, standard(encoder.encode(lms(pairs[split].waveform(index)))))

    return in_parts(one, chosen[split], z)


painted = {
    (variant, split): paint(variant.lower().replace("-", "_"), hearing, split)
    for variant, hearing in VARIANTS.items()
    for split in ("train", "test")
}

# %% [markdown]
# ## Table 5: is it the right instrument?
#
# Two examiners: the **judge**, who taught nobody, and Γ, the paper's way, which also
# chose the epoch. Intervals come from resampling recordings.


# %%
def named(net: nn.Module, x: Tensor) -> Tensor:
    """The class that `net` names for each item, on the CPU."""
    return in_parts(net, x).argmax(dim=1)


PAPER = {  # Table 5
    ("S2I-C", "train"): 0.8737,
    ("S2I-C", "test"): 0.7556,
    ("S2I-A", "train"): 0.1063,
    ("S2I-A", "test"): 0.1095,
    ("S2I-N", "train"): 0.1262,
    ("S2I-N", "test"): 0.1232,
}
table5, accuracy = [], {}
for split in ("train", "test"):
    pictures = {v: painted[v, split] for v in VARIANTS} | {"real": real[split]}
    for what, x in pictures.items():
        row = {"sounds": split, "pictures": what}
        for examiner, net in (("judge", judge), ("Γ", gamma)):
            right = metrics.accuracy(named(net, x), labels[split].cpu(), recordings[split])
            row[examiner] = accuracy[what, split, examiner] = right
        table5.append(row | {"paper": PAPER.get((what, split), "")})
lesson.record("table5", table5)
display(show.table(table5))

# %%
trivial = metrics.commonest_class(pairs["train"].labels, labels["test"])
honesty = [
    {"row": "chance", "accuracy": metrics.chance(len(classes))},
    {"row": "always the commonest class of training", "accuracy": trivial},
]
lesson.record("table5_honesty", honesty)
display(show.table(honesty))
bars = {what: accuracy[what, "test", "judge"] for what in (*VARIANTS, "real")}
figure = show.bars(bars, lines={"chance": 1 / len(classes)}, y="right instrument")
lesson.figure("table5", figure, "Unheard recordings, examined by the judge.")
counts = metrics.confusion(
    labels["test"].cpu(), named(judge, painted["S2I-C", "test"]), len(classes)
)
figure = show.confusion(counts, classes, title="S2I-C, unheard sounds")
lesson.figure("confusion", figure, "What the judge sees in S2I-C's pictures.")

# %% [markdown]
# ## FID, KID, IS: are they like real pictures?
#
# The usual network for these is Inception-v3, trained on photographs. Ours is the
# judge, so the numbers are named after it and cannot be compared with any other
# paper's. Fréchet distances of few samples are mostly bias; the row "real against
# real" shows how much: half of the real test pictures against the other half.

# %%
distances = []
for what in (*VARIANTS, "real against real"):
    x = real["test"] if what.startswith("real") else painted[what, "test"]
    row = {"pictures": what}
    row |= metrics.picture_distances(
        x,
        None if what.startswith("real") else real["test"],
        features=judge.features,
        logits=judge,
        network="judge",
        subset=settings.subset,
        seed=SEED,
    )
    distances.append(row)
lesson.record("distances", distances)
display(show.table(distances))
