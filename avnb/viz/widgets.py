"""Widgets to play with in a notebook: a study with people, playgrounds, an album.

They take plain functions and arrays, so that they work with any model. They consist of
ipywidgets alone, so that a test can press their buttons.
"""

import hashlib
import html
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as ui
import numpy as np
from IPython.display import HTML

from avnb import files, metrics
from avnb.errors import MediaError, UploadError
from avnb.viz import show
from avnb.viz.colab import enable_colab_widgets
from avnb.viz.polls import draw_answers

FILM_WIDTH = 320  # pixels of a film's player
MAX_UPLOAD = 64 * 2**20  # bytes of a file that is uploaded

# Chen et al. 2017, Table 4.
MEANINGS = {
    3: "realistic image, matches the instrument",
    2: "realistic image, does not match the instrument",
    1: "fair image: player visible, instrument not",
    0: "unrealistic image",
}


@dataclass(frozen=True)
class StudySet:
    """Pictures of one class to be scored side by side: method -> picture."""

    label: str
    pictures: Mapping[str, Any]


class Playground(ui.VBox):
    """The base of all widgets here: a column of other widgets."""

    def __init__(self, children: Sequence[ui.Widget] = ()) -> None:
        # Every widget of this module comes through here before it is shown.
        enable_colab_widgets()
        super().__init__(children)


class HumanStudy(Playground):
    """A blind study: the sets and their pictures shuffled, scores 0 to 3.

    Every click is saved to `save_to` (JSON), and a study begun there goes on. Scores of
    other pictures, such as those of an earlier training, are put aside beside it.
    `scores` maps (set, method) to 0..3.
    """

    def __init__(
        self, sets: Sequence[StudySet], save_to: str | Path, *, seed: int = 0
    ) -> None:
        if not sets:
            raise ValueError("HumanStudy: no sets to score")
        self.sets, self.save_to = list(sets), Path(save_to)
        # The order is drawn from the seed, so that a study that goes on looks the same.
        rng = np.random.default_rng(seed)
        # Plain ints: they are part of the scores, and JSON knows no integers of NumPy.
        self.order = [int(i) for i in rng.permutation(len(self.sets))]
        self.shuffled = [
            # Each set has an order of its own: a fixed place would give methods away.
            [list(one.pictures)[i] for i in rng.permutation(len(one.pictures))]
            for one in self.sets
        ]
        # Before the scores, which are compared with it when they are loaded.
        self.identity = _hash_pictures(self.sets)
        self.scores = self._load()
        self.question, self.row, self.result = ui.HTML(), ui.HBox(), ui.VBox()
        self.progress = ui.IntProgress(max=sum(len(s.pictures) for s in self.sets))
        guide = "".join(f"<li><b>{k}</b> {text}</li>" for k, text in MEANINGS.items())
        self.guide = ui.HTML(f"<ul>{guide}</ul>")
        super().__init__(
            [self.question, self.guide, self.row, self.progress, self.result]
        )
        self._show_next()

    def records(self) -> list[dict[str, Any]]:
        """One row a score: set, label, method, score."""
        return [
            {
                "set": index,
                "label": self.sets[index].label,
                "method": method,
                "score": score,
            }
            for (index, method), score in self.scores.items()
        ]

    def _show_next(self) -> None:
        self.progress.value = len(self.scores)
        # The first set that lacks a score: so a study goes on where it was left.
        for place, index in enumerate(self.order):
            if any((index, name) not in self.scores for name in self.shuffled[index]):
                self._show_set(place, index)
                return
        self.question.value = "<b>Thank you, that was all.</b>"
        self.guide.value, self.row.children = "", ()
        self.result.children = (ui.HTML(_draw_results(self.records())),)

    def _show_set(self, place: int, index: int) -> None:
        label = html.escape(self.sets[index].label)
        self.question.value = (
            f"<b>Set {place + 1} of {len(self.order)}: {label}.</b> "
            "How good is each picture?"
        )
        # A call for each ballot: a lambda in this loop would see the last method only.
        self.row.children = tuple(
            self._build_ballot(index, method, f"picture {number} of {label}")
            for number, method in enumerate(self.shuffled[index], 1)
        )

    def _build_ballot(self, index: int, method: str, alt: str) -> ui.VBox:
        # The method's name must not go to the browser, where a rater could read it.
        picture = _enlarge(self.sets[index].pictures[method], alt)
        buttons = ui.ToggleButtons(
            options=[(str(k), k) for k in sorted(MEANINGS)],
            # None presses no button.
            value=self.scores.get((index, method)),
            tooltips=[MEANINGS[k] for k in sorted(MEANINGS)],
            style={"button_width": "2.4em"},
        )
        buttons.observe(
            lambda change: self._keep_score(index, method, change["new"]), names="value"
        )
        return ui.VBox([picture, buttons])

    def _keep_score(self, index: int, method: str, score: int | None) -> None:
        if score is None:
            return
        self.scores[index, method] = score
        # Saved at once: people close the browser without a word.
        self._save()
        # The next set comes when this one is whole. Until then a score may be changed.
        if all((index, name) in self.scores for name in self.shuffled[index]):
            self._show_next()
        self.progress.value = len(self.scores)

    def _save(self) -> None:
        study = {"pictures": self.identity, "scores": self.records()}
        files.write_json(self.save_to, study)

    def _name_aside(self, identity: str) -> Path:
        name = f"{self.save_to.stem}-earlier-{identity[:8]}{self.save_to.suffix}"
        return self.save_to.with_name(name)

    def _load(self) -> dict[tuple[int, str], int]:
        if self.save_to.is_file():
            found = files.read_json(self.save_to)
            if found.get("pictures") != self.identity:
                # Somebody's work: kept under the name of the pictures it belongs to.
                self.save_to.replace(self._name_aside(found["pictures"]))
        if not self.save_to.is_file():
            # The same pictures as before the last change get their scores back.
            aside = self._name_aside(self.identity)
            if not aside.is_file():
                return {}
            aside.replace(self.save_to)
        found = files.read_json(self.save_to)
        return {(row["set"], row["method"]): row["score"] for row in found["scores"]}


def _hash_pictures(sets: Sequence[StudySet]) -> str:
    # Scores belong to these pictures. A hash of them shows when a study file does not.
    digest = hashlib.sha256()
    for one in sets:
        digest.update(one.label.encode())
        for method, picture in one.pictures.items():
            digest.update(method.encode())
            digest.update(show.to_uint8(picture).tobytes())
    return digest.hexdigest()


def _draw_results(records: list[dict[str, Any]]) -> str:
    """Fig. 8 of the paper: the share of each score by method, and the means."""
    found = metrics.human_scores(records)
    rows = [{"method": name, "mean score": one.mean} for name, one in found.items()]
    picture = show.picture_html(
        show.figure_to_png(draw_answers(found, MEANINGS)),
        "The share of each score, by method",
    )
    return show.table_html(rows) + picture


def read_file_upload(value: Any) -> tuple[str, bytes]:
    """The name and the content of the file that a `FileUpload` holds."""
    if isinstance(value, dict):  # ipywidgets 7, as in Colab: its name -> what it is
        ((name, file),) = value.items()
        return name, bytes(file["content"])
    # ipywidgets 8: a tuple of files, whose content is a memoryview.
    return value[0]["name"], bytes(value[0]["content"])


class _SoundChoice(Playground):
    """Sounds to choose from: the bundled ones, and what is uploaded.

    A subclass defines `_choose_added`, which is called with the name of a new sound.

    Args:
        sounds: name -> waveform (samples,) or (channels, samples).
        rate: their sample rate, Hz.
        length: the samples that an upload is cut to.
    """

    def __init__(self, sounds: Mapping[str, Any], rate: int, length: int) -> None:
        self.rate, self.length = rate, length
        self.sounds = {name: _mix_to_mono(sound) for name, sound in sounds.items()}
        self.choice = ui.Dropdown(options=list(self.sounds), description="sound")
        self.upload = ui.FileUpload(accept="audio/*,video/*", multiple=False)
        self.upload.observe(lambda _: self._take_upload(), names="value")
        self.message = ui.HTML()
        super().__init__()

    def _choose_added(self, name: str) -> None:
        raise NotImplementedError

    def _take_upload(self) -> None:
        # That the widget was emptied is a change too.
        if not self.upload.value:
            return
        name, content = read_file_upload(self.upload.value)
        # One sample more than is kept, to notice that the file is longer.
        seconds = (self.length + 1) / self.rate
        try:
            sound = read_upload(content, name, self.rate, seconds=seconds)
        except UploadError as error:
            self._show_message(str(error))
            return
        own = f"{name} (yours)"
        self.sounds[own] = sound[: self.length]
        self._choose_added(own)
        # Said last, since choosing the new sound clears the message.
        if len(sound) > self.length:
            kept = f"the first {self.length / self.rate:g} s"
            self._show_message(f"{name} is longer: {kept} are taken.")

    def _show_message(self, text: str) -> None:
        self.message.value = f"<b>{html.escape(text)}</b>"


class SoundToPicture(_SoundChoice):
    """Pick or upload a sound, mix in another, slide the noise, see the picture.

    Args:
        generate: (waveform (samples,) float32, noise (noise,) float32) -> a picture
            that `show.to_uint8` takes.
        sounds: name -> waveform (samples,), the bundled ones; swapping the instrument
            is choosing another, or sliding `mix` from the one to the other.
        rate: their sample rate, Hz; uploads are resampled to it and cut to the
            length of the longest bundled sound.
        noise: the length of a noise vector.
    """

    def __init__(
        self,
        generate: Callable[[np.ndarray, np.ndarray], Any],
        sounds: Mapping[str, Any],
        rate: int,
        *,
        noise: int,
        seed: int = 0,
    ) -> None:
        longest = max(len(_mix_to_mono(sound)) for sound in sounds.values())
        super().__init__(sounds, rate, longest)
        self.generate = generate
        ends = np.random.default_rng(seed).standard_normal((2, noise))
        self.ends = ends.astype(np.float32)
        self.other = ui.Dropdown(options=list(self.sounds), description="and")
        # Set before anything listens to it, or a picture would be made for it at once.
        self.other.value = list(self.sounds)[-1]
        self.mix = ui.FloatSlider(0.0, min=0.0, max=1.0, step=0.05)
        # Not while the slider moves: the network may take longer than the hand does.
        self.mix.description, self.mix.continuous_update = "mix", False
        self.slider = ui.FloatSlider(0.0, min=0.0, max=1.0, step=0.05)
        self.slider.description, self.slider.continuous_update = "noise", False
        self.picture, self.player = ui.HBox(), ui.HTML()
        for control in (self.choice, self.other, self.mix, self.slider):
            control.observe(lambda _: self._update(), names="value")
        controls = ui.VBox(
            [self.choice, self.other, self.mix, self.slider, self.upload, self.player]
        )
        self.children = (ui.HBox([controls, self.picture]), self.message)
        self._update()

    def _update(self) -> None:
        sound = mix_sounds(
            self.sounds[self.choice.value],
            self.sounds[self.other.value],
            self.mix.value,
        )
        self.message.value = ""
        self.player.value = show.listen([sound], self.rate).data
        made = self.generate(
            sound, interpolate_noise(self.ends[0], self.ends[1], self.slider.value)
        )
        alt = f"what is generated from {self.choice.value}"
        self.picture.children = (_enlarge(made, alt),)

    def _choose_added(self, name: str) -> None:
        # New options set both menus back to their first entry.
        other = self.other.value
        self.other.options = self.choice.options = list(self.sounds)
        self.other.value, self.choice.value = other, name


class SoundToFilm(_SoundChoice):
    """Pick or upload a sound, choose the noise's seed, make the film and play it.

    A film takes its time, so nothing is made before the button is pressed.

    Args:
        generate: (waveform (samples,) float32, seed) -> frames (T, H, W, 3), each a
            picture that `show.to_uint8` takes.
        sounds: name -> waveform (samples,), the bundled ones.
        rate: their sample rate, Hz; uploads are resampled to it.
        fps: frames a second of what `generate` gives.
        seconds: how long a film may be; longer sounds are cut.
        seed: the first seed of the slider; None for a `generate` that draws nothing
            at random, whose films no seed would change: then there is no slider.
    """

    def __init__(
        self,
        generate: Callable[[np.ndarray, int], Any],
        sounds: Mapping[str, Any],
        rate: int,
        *,
        fps: float | int,
        seconds: float | int = 20.0,
        seed: int | None = 0,
    ) -> None:
        super().__init__(sounds, rate, round(seconds * rate))
        # Cut as uploads are: what is played is what the film will be made of.
        self.sounds = {k: sound[: self.length] for k, sound in self.sounds.items()}
        self.generate, self.fps = generate, fps
        first = seed or 0
        self.seed = ui.IntSlider(first, min=first, max=first + 20, description="seed")
        self.button = ui.Button(description="Make film", icon="film")
        self.player, self.screen = ui.HTML(), ui.HBox()
        self.button.on_click(lambda _: self._make_film())
        self.choice.observe(lambda _: self._play_choice(), names="value")
        bring = ui.HBox([self.upload, ui.Label(f"at most {seconds:g} s")])
        seeds = [] if seed is None else [self.seed]
        controls = [self.choice, self.player, bring, *seeds, self.button]
        self.children = (ui.HBox([ui.VBox(controls), self.screen]), self.message)
        self._play_choice()

    @property
    def sound(self) -> np.ndarray:
        """The chosen one."""
        return self.sounds[self.choice.value]

    def _choose_added(self, name: str) -> None:
        self.choice.options = list(self.sounds)
        self.choice.value = name

    def _play_choice(self) -> None:
        self.message.value = ""
        self.player.value = show.listen([self.sound], self.rate).data

    def _make_film(self) -> None:
        self._show_message(
            f"A film of {len(self.sound) / self.rate:.1f} s is being made …"
        )
        # A second press would queue a second film.
        self.button.disabled = True
        try:
            frames = self.generate(self.sound, self.seed.value)
            # Axis 2 of (T, H, W, 3) is the width. A wide film is not enlarged.
            zoom = max(1, FILM_WIDTH // np.shape(frames)[2])
            film = show.encode_mp4(frames, self.sound, self.fps, self.rate, zoom=zoom)
        except Exception as error:  # nobody sees what a button raises
            self._show_message(f"{self.choice.value}: no film came of it. {error!r}")
        else:
            # By default ipywidgets starts the film, and its sound, at once.
            player = ui.Video(value=film, width=FILM_WIDTH, autoplay=False)
            self.screen.children, self.message.value = (player,), ""
        finally:
            self.button.disabled = False


class PictureAndSoundToFilm(SoundToFilm):
    """Pick or upload a first frame and a sound, choose a class, make the film.

    An uploaded picture may have any size and may be transparent: its central square is
    taken, on white.

    Args:
        generate: (waveform (samples,) float32, picture (size, size, 3) uint8, class)
            -> frames (T, H, W, 3); the same for the same choices, so there is no seed.
        sounds: name -> waveform (samples,), the bundled ones.
        pictures: name -> (picture (size, size, 3) uint8, its class).
        classes: the names that may be chosen. They are not checked against a picture.
        rate: the sample rate of the sounds, Hz.
        fps: frames a second of what `generate` gives.
        seconds: how long a film may be; longer sounds are cut.
    """

    def __init__(
        self,
        generate: Callable[[np.ndarray, np.ndarray, str], Any],
        sounds: Mapping[str, Any],
        pictures: Mapping[str, tuple[np.ndarray, str]],
        classes: Sequence[str],
        rate: int,
        *,
        fps: float | int,
        seconds: float | int = 20.0,
    ) -> None:
        # All of it before the parent, which shows its first choice at once.
        self.make, self.pictures = generate, dict(pictures)
        self.frame = ui.Dropdown(options=list(pictures), description="first frame")
        self.label = ui.Dropdown(options=list(classes), description="class")
        self.look, self.preview = ui.FileUpload(accept="image/*"), ui.HBox()
        super().__init__(
            lambda sound, _: self.make(sound, self.picture, self.label.value),
            sounds, rate, fps=fps, seconds=seconds, seed=None,
        )  # fmt: skip
        self.frame.observe(lambda _: self._show_frame(), names="value")
        self.look.observe(lambda _: self._take_picture(), names="value")
        bring = ui.HBox([self.look, ui.Label("your own picture")])
        beside = ui.VBox([self.frame, self.preview, bring, self.label])
        self.children = (ui.HBox([beside, *self.children[0].children]), self.message)
        self._show_frame()

    @property
    def picture(self) -> np.ndarray:
        """The chosen first frame."""
        return self.pictures[self.frame.value][0]

    def _show_frame(self) -> None:
        picture, label = self.pictures[self.frame.value]
        self.message.value, self.label.value = "", label
        self.preview.children = (_enlarge(picture, f"first frame: {self.frame.value}"),)

    def _take_picture(self) -> None:
        if not self.look.value:
            return
        name, content = read_file_upload(self.look.value)
        size = len(self.picture)
        try:
            picture = read_picture_upload(content, name, size)
        except UploadError as error:
            self._show_message(str(error))
            return
        own = f"{name} (yours)"
        # Nobody knows its class: the one that is chosen stays.
        self.pictures[own] = picture, self.label.value
        self.frame.options = list(self.pictures)
        self.frame.value = own
        self._show_message(
            f"{name}: its central square, {size} × {size}. Choose its class."
        )


class PictureToSound(Playground):
    """Pick a picture, slide the noise, hear the sound.

    Args:
        generate: (picture uint8 (H, W, 3), noise (noise,) float32) -> waveform
            (samples,) in -1..1.
        pictures: name -> picture.
        rate: sample rate of what `generate` gives, Hz.
        noise: the length of a noise vector.
    """

    def __init__(
        self,
        generate: Callable[[np.ndarray, np.ndarray], Any],
        pictures: Mapping[str, Any],
        rate: int,
        *,
        noise: int,
        seed: int = 0,
    ) -> None:
        self.generate, self.rate = generate, rate
        self.pictures = {name: show.to_uint8(p) for name, p in pictures.items()}
        ends = np.random.default_rng(seed).standard_normal((2, noise))
        self.ends = ends.astype(np.float32)
        self.choice = ui.Dropdown(options=list(self.pictures), description="picture")
        self.slider = ui.FloatSlider(0.0, min=0.0, max=1.0, step=0.05)
        self.slider.description, self.slider.continuous_update = "noise", False
        self.picture, self.player = ui.HBox(), ui.HTML()
        self.choice.observe(lambda _: self._update(), names="value")
        self.slider.observe(lambda _: self._update(), names="value")
        super().__init__([self.choice, self.slider, self.picture, self.player])
        self._update()

    def _update(self) -> None:
        picture = self.pictures[self.choice.value]
        self.picture.children = (_enlarge(picture, self.choice.value),)
        made = self.generate(
            picture, interpolate_noise(self.ends[0], self.ends[1], self.slider.value)
        )
        self.player.value = show.listen([made], self.rate).data


class SoundToCards(Playground):
    """Pick two sounds, slide from the one to the other, see what is found on the way.

    Args:
        find: (first name, second name, share of the second) -> cards, best first.
        sounds: name -> waveform (samples,).
        rate: their sample rate, Hz.
    """

    def __init__(
        self,
        find: Callable[[str, str, float], Sequence[show.Card]],
        sounds: Mapping[str, Any],
        rate: int,
    ) -> None:
        self.find, self.sounds, self.rate = find, dict(sounds), rate
        names = list(self.sounds)
        self.first = ui.Dropdown(options=names, description="from")
        self.second = ui.Dropdown(options=names, value=names[-1], description="to")
        self.slider = ui.FloatSlider(0.0, min=0.0, max=1.0, step=0.05)
        self.slider.description, self.slider.continuous_update = "share", False
        self.players, self.found = ui.HTML(), ui.HTML()
        for control in (self.first, self.second, self.slider):
            control.observe(lambda _: self._update(), names="value")
        choices = ui.VBox([self.first, self.second, self.slider])
        super().__init__([ui.HBox([choices, self.players]), self.found])
        self._update()

    def _update(self) -> None:
        names = [self.first.value, self.second.value]
        sounds = [self.sounds[name] for name in names]
        self.players.value = show.listen(sounds, self.rate, names).data
        found = self.find(names[0], names[1], self.slider.value)
        self.found.value = show.cards(found, self.rate).data


class Album(Playground):
    """Pages to choose from by name, each made when it is opened."""

    def __init__(self, page: Callable[[str], HTML], names: Sequence[str]) -> None:
        self.page = page
        self.choice = ui.Dropdown(options=list(names), description="page")
        self.shown = ui.HTML()
        self.choice.observe(lambda _: self._open_page(), names="value")
        super().__init__([self.choice, self.shown])
        self._open_page()

    def _open_page(self) -> None:
        self.shown.value = self.page(self.choice.value).data


class Knobs(Playground):
    """Sliders with names, and what comes out at their positions.

    Args:
        make: positions (name -> number, from 1) -> what is shown. It is called when a
            slider is let go.
        knobs: name -> how many positions it has.
    """

    def __init__(
        self, make: Callable[[dict[str, int]], HTML], knobs: Mapping[str, int]
    ) -> None:
        self.make = make
        self.sliders = {
            # Not while the slider moves: the network may take longer than the hand.
            name: ui.IntSlider(
                1, min=1, max=count, description=name, continuous_update=False
            )
            for name, count in knobs.items()
        }
        self.shown = ui.HTML()
        for slider in self.sliders.values():
            slider.observe(lambda _: self._update(), names="value")
        super().__init__([*self.sliders.values(), self.shown])
        self._update()

    def _update(self) -> None:
        places = {name: slider.value for name, slider in self.sliders.items()}
        self.shown.value = self.make(places).data


def mix_sounds(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Two waveforms (samples,) at once, `share` of the second, none cut short."""
    # The shorter one ends in silence.
    mixed = np.zeros(max(len(first), len(second)), dtype=np.float32)
    # The weights add up to 1, so a mixture of waveforms in -1..1 stays there.
    mixed[: len(first)] += (1 - share) * first
    mixed[: len(second)] += share * second
    return mixed


def interpolate_noise(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """A point on the way between two noise vectors (noise,), of a Gaussian's length.

    The weights are cos and sin, whose squares add to one: a sum of independent
    standard normal vectors so weighted is standard normal again.
    """
    angle = share * np.pi / 2
    point: np.ndarray = np.cos(angle) * start + np.sin(angle) * end
    return point.astype(np.float32)


def read_upload(
    content: bytes, name: str, rate: int, *, seconds: float | None = None
) -> np.ndarray:
    """The sound of an uploaded file, (samples,) float32 at `rate`.

    Args:
        content: the bytes of the file.
        name: its name, whose suffix says what it is.
        rate: the sample rate wanted, Hz.
        seconds: how much of it is read, from its beginning; by default all.

    Raises:
        UploadError: what is wrong with the file and what to do.
    """
    from avnb import media

    _check_upload(content, name)
    # FFmpeg wants a file: some formats are read from their end.
    with tempfile.TemporaryDirectory() as folder:
        # Of the name only the suffix is used: it comes from outside, and may be a path.
        path = Path(folder) / f"upload{Path(name).suffix}"
        path.write_bytes(content)
        try:
            waveform, _ = media.read_audio(path, duration=seconds, sample_rate=rate)
        except MediaError as error:
            # `read_audio` names the temporary file: name the upload instead.
            raise UploadError(name, error.problem, error.remedy) from error
    if not waveform.size:
        raise UploadError(name, "its sound has no length", "Record it again")
    return _mix_to_mono(waveform)


def read_picture_upload(content: bytes, name: str, size: int) -> np.ndarray:
    """The picture of an uploaded file, (size, size, 3) uint8.

    Its central square, scaled; what is transparent lies on white.

    Args:
        content: the bytes of the file.
        name: its name.
        size: pixels a side.

    Raises:
        UploadError: what is wrong with the file and what to do.
    """
    from avnb import media

    _check_upload(content, name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        try:
            return media.read_image(path, size=size)
        except MediaError as error:
            problem = error.problem.replace(str(path), name)
            raise UploadError(name, problem, error.remedy) from error


def _check_upload(content: bytes, name: str) -> None:
    if len(content) > MAX_UPLOAD:
        have, most = (round(size / 2**20) for size in (len(content), MAX_UPLOAD))
        raise UploadError(name, f"it has {have} MB", f"Give at most {most} MB")


def _mix_to_mono(waveform: Any) -> np.ndarray:
    array = np.asarray(waveform, np.float32)
    # (channels, samples) → (samples,)
    mixed: np.ndarray = array.mean(0) if array.ndim == 2 else array
    return mixed


def _enlarge(picture: Any, alt: str) -> ui.HTML:
    """A picture, three times as large, with an alternative text."""
    # Not ui.Image, which has no alternative text.
    content = show.encode_png(picture, zoom=3)
    return ui.HTML(show.picture_html(content, alt), layout=ui.Layout(**show.UNCUT))
