"""Slides: the object enters with its word, things move on the beat, nothing else tells.

Sound and picture are measured here, and compared with the truth that is written.
"""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch

from avnb.errors import ClipsError
from avnb.media import probe
from avnb.metrics.shortcuts import read_by_nearest_neighbour
from data_scripts import phonics
from data_scripts.bandstand import slide_pictures, songs
from data_scripts.bandstand.layouts.phonics import SHARES, plan_films, write_phonics
from data_scripts.bandstand.slide_pictures import Moment, draw_slide
from data_scripts.bandstand.slide_words import COLOURS, LETTERS, WORDS
from data_scripts.bandstand.slides import (
    RATES,
    Film,
    SlideTake,
    choose_source_style,
)

FILM = Film(source=62, letter="M", word=2, seed=5, world=0, frames=90)


def test_every_word_can_be_sung_and_drawn() -> None:
    assert set(WORDS) == set(LETTERS)
    style = choose_source_style(1, 0).look
    seen = set()
    for letter, words in WORDS.items():
        assert len(words) >= 4
        for word in words:
            assert word.text.upper()[0] == letter
            assert set(word.phones) <= set(songs.PHONES)
            for line in word.drawing.splitlines():
                kind, colour, *numbers = line.split()
                assert kind in "epslc"
                assert colour in COLOURS
                # Lines have a width before their points.
                assert len(numbers) % 2 == (1 if kind in "lc" else 0)
                assert max(abs(float(n)) for n in numbers) <= 52
            moment = Moment(1.0, 0.0, 0.0, 0.0)
            seen.add(draw_slide("A", "", word.drawing, style, moment, 48).tobytes())
    assert len(seen) == sum(map(len, WORDS.values()))


@pytest.mark.parametrize("entrance", slide_pictures.ENTRANCES)
def test_the_object_is_seen_from_the_words_onset_on(entrance: str) -> None:
    take = SlideTake(FILM)
    take.style = replace(
        take.style, returns=True, look=replace(take.style.look, entrance=entrance)
    )
    (first, _), (second, _) = take.song.words
    fps, size = take.fps, 96
    gone = take.song.letters[1]
    blank = replace(take.word, drawing="", text="")
    for t in (first, second):
        if t > take.duration - 0.3:
            continue
        frame = int(t * fps)  # what is heard at t is seen in frame floor(t * fps)
        for k, there in ((frame - 1, False), (frame, True), (frame + 8, True)):
            picture = take.draw(k / fps, size)
            without = SlideTake(FILM)
            without.style, without.word = take.style, blank
            same = np.array_equal(picture, without.draw(k / fps, size))
            assert same != there, f"{entrance}: frame {k} at {t * fps:.2f}"
    # And it has left once the letter is sung again.
    if gone + 0.2 < min(second, take.duration):
        known = take.measure(np.array([gone - 0.05, gone + 0.15]))
        assert known["shown"][0] == 1
        assert known["shown"][1] == 0


def test_the_voice_begins_the_word_where_the_truth_says() -> None:
    # Alone, without the band: an m is voiced from its first moment.
    style = replace(choose_source_style(3, 0).song, tempo=110.0, rhythm=0, band=0.0)
    song = songs.sing("A", WORDS["M"][2], style, begin=0.1, duration=4.0, seed=1)
    loud = song.speech.loudness
    (first, end), _ = song.words
    # Before the word there is the end of "for" and a small gap.
    assert first == pytest.approx(0.1 + 2 * 60 / 110)
    rows = np.arange(len(loud)) / 100
    assert loud[(rows > first + 0.02) & (rows < end - 0.1)].min() > 0.1
    # The formants of "for" end, and those of m begin, at the onset.
    speech = song.speech
    at = [speech.phones[k] for k in range(len(speech.phones))]
    assert any(
        one.onset == pytest.approx(first) and one.phone is songs.PHONES["m"]
        for one in at
    )


def test_the_tune_is_sung() -> None:
    style = replace(choose_source_style(4, 0).song, rhythm=0, tempo=105.0)
    song = songs.sing("M", WORDS["M"][0], style, begin=0.0, duration=4.0, seed=1)
    rate = 16000
    voice = songs.synthesise_song(replace_band(song), 1, rate)
    (start, end), _ = song.words
    part = voice[int((start + 0.15) * rate) : int((end - 0.15) * rate)]
    # The lag at which the voice is most like itself is the period of the sung note.
    alike = scipy.signal.correlate(part, part, mode="full", method="fft")
    alike = alike[len(part) - 1 :]
    low, high = int(rate / 700), int(rate / 90)
    lag = low + int(np.argmax(alike[low:high]))
    wanted = style.note + songs.SCALE[style.tune[3]]
    heard = 69 + 12 * np.log2(rate / lag / 440)
    # An octave is no other note.
    assert abs((heard - wanted + 6) % 12 - 6) < 0.6


def replace_band(song: songs.Song) -> songs.Song:
    """The song without its accompaniment."""
    return replace(song, style=replace(song.style, band=0.0))


def test_the_band_strikes_on_the_beat() -> None:
    song = SlideTake(FILM).song
    rate = 16000
    silent = replace(song, speech=replace(
        song.speech, voiced=0 * song.speech.voiced,
        noises={k: 0 * v for k, v in song.speech.noises.items()},
    ))  # fmt: skip
    sound = songs.synthesise_song(silent, 3, rate)
    energy = np.add.reduceat(sound.astype(float) ** 2, np.arange(0, len(sound), 160))
    rise = np.diff(np.log(energy + 1e-7))
    beats = [b for b in song.beats if 0.1 < b < song.duration - 0.1]
    assert len(beats) >= 3
    for beat in beats:
        near = slice(int(beat * 100) - 2, int(beat * 100) + 3)
        assert rise[near].max() > 1.5
    # Between the beats nothing starts.
    between = [int((a + b) * 50) for a, b in itertools.pairwise(beats)]
    assert max(rise[k] for k in between) < 0.7


def test_the_letter_moves_on_the_beat() -> None:
    take = SlideTake(FILM)
    beats = [b for b in take.song.beats if 0.2 < b < take.duration - 0.6]
    pulse = [take.find_moment(b + 1e-6).pulse for b in beats]
    assert pulse == pytest.approx([1.0] * len(beats), abs=1e-3)
    tilt = np.array([take.find_moment(b + 1e-6).tilt for b in beats])
    assert np.allclose(np.abs(tilt), 1, atol=1e-3)
    assert (tilt[1:] * tilt[:-1] < 0).all()
    # The side is the drum's: also where the beat before was cut off.
    number = int(np.searchsorted(take.song.beats, beats[0] - 1e-9))
    assert (tilt[0] > 0) == songs.is_first_of_two(take.song, number)
    for motion in slide_pictures.MOTIONS:
        style = replace(take.style.look, motion=motion)
        one = draw_slide("M", "", "", style, Moment(0, 0, 1.0, 1.0), 64)
        two = draw_slide("M", "", "", style, Moment(0, 0, 0.0, 0.0), 64)
        assert not np.array_equal(one, two)


def test_the_word_is_written_letter_by_letter() -> None:
    take = SlideTake(FILM)
    (first, end), _ = take.song.words
    moments = np.linspace(first, end, 30)
    written = [int(take.find_moment(float(t)).written) for t in moments]
    assert written[0] == 1
    assert written == sorted(written)
    assert written[-1] == len(take.word.text)
    assert take.find_moment(first - 1e-3).written == 0


def test_a_still_does_not_move_and_a_leak_shows_another_slide() -> None:
    still = SlideTake(replace(FILM, still=True))
    frames = [still.draw(k / still.fps, 48) for k in (0, 20, 60)]
    assert all(np.array_equal(frames[0], one) for one in frames)
    assert not still.measure(np.arange(50) / 25)["onset_entrance"].any()
    for leak in (4, -3):
        take = SlideTake(replace(FILM, leak=leak, neighbour="S"))
        plain = SlideTake(FILM)
        shown = [
            not np.array_equal(
                take.draw(k / take.fps, 48), plain.draw(k / take.fps, 48)
            )
            for k in range(FILM.frames)
        ]
        wanted = np.arange(FILM.frames) < 4 if leak > 0 else np.arange(90) >= 87
        assert np.array_equal(shown, wanted)
        known = take.measure(np.arange(FILM.frames) / take.fps)
        assert np.array_equal(known["leak"] == 1, wanted)


def test_a_style_is_the_sources_alone() -> None:
    plan = plan_films("ABM", 3, 2, 3, seed=7)
    styles = {name: choose_source_style(film.source, 7) for name, film in plan.items()}
    assert styles["62_0"] == styles["62_2"]
    assert styles["62_0"] != styles["63_0"]
    # One-letter and whole-alphabet sources.
    letters: dict[int, set[str]] = {}
    for film in plan.values():
        letters.setdefault(film.source, set()).add(film.letter)
    assert letters[1] == {"A", "B", "M"}
    assert sorted(len(found) for found in letters.values()) == [1] * 9 + [3] * 2
    # Other seeds draw other styles, films and words.
    assert plan_films("ABM", 3, 2, 3, seed=8) != plan
    assert choose_source_style(62, 8) != styles["62_0"]


def test_words_of_a_letter_can_be_fewer() -> None:
    """As many are drawn as are asked for, and no letter has more than it has."""
    for words in (1, 2, 99):
        plan = plan_films("AB", 12, 4, 4, seed=3, words=words)
        for letter in "AB":
            drawn = {film.word for film in plan.values() if film.letter == letter}
            assert drawn == set(range(min(words, len(WORDS[letter]))))
    assert plan == plan_films("AB", 12, 4, 4, seed=3)
    with pytest.raises(ClipsError, match="words: it is 0"):
        plan_films("AB", 12, 4, 4, seed=3, words=0)


def test_shares_of_stills_leaks_and_short_films() -> None:
    plan = plan_films("".join(WORDS), 20, 20, 5, seed=1).values()
    count = len(plan)
    for name, found in (
        ("short", sum(film.short for film in plan)),
        ("still", sum(film.still for film in plan)),
        ("leak", sum(film.leak != 0 for film in plan)),
    ):
        # Within four standard errors of a share.
        spread = np.sqrt(SHARES[name] * (1 - SHARES[name]) / count)
        assert abs(found / count - SHARES[name]) < 4 * spread
    assert 0.05 <= SHARES["still"] <= 0.10
    assert {choose_source_style(k, 1).fps for k in range(60)} == set(RATES)
    grounds = {choose_source_style(k, 1).look.ground for k in range(60)}
    assert grounds == set(slide_pictures.GROUNDS)


@pytest.mark.slow
def test_the_ground_tells_the_letter_within_a_source_video_alone() -> None:
    plan = plan_films("ABCFHMST", 8, 10, 3, seed=3)
    takes = [SlideTake(film) for film in plan.values()]
    frames = np.stack([take.draw(0.6, 32) for take in takes])
    # The corners hold the ground, and nothing else.
    corners = [frames[:, y : y + 3, x : x + 3] for y in (0, 29) for x in (0, 29)]
    seen = torch.tensor(np.stack([c.mean((1, 2)) for c in corners], 1)).flatten(1)
    length = torch.tensor([[take.duration] for take in takes])
    level = torch.tensor([[take.style.song.level] for take in takes])
    labels = torch.tensor([ord(film.letter) for film in plan.values()])
    sources = [str(film.source) for film in plan.values()]
    films = [*plan]
    for name, x in (("ground", seen), ("length", length), ("level", level)):
        # Chance is 1/8. A source video's own films are not asked.
        told = read_by_nearest_neighbour(x, labels, sources, name=name)
        assert told.value < 0.25, f"{name}: {told.value}"
    within = read_by_nearest_neighbour(seen, labels, films, name="ground")
    assert within.value > 0.4


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (("AQ", 1, 1, 1), "letter 'Q'"),
        (("", 1, 1, 1), "films"),
        (("A", 0, 0, 1), "films"),
        (("A", 1, 1, 0), "films"),
    ],
)
def test_a_plan_of_nothing_is_refused(
    given: tuple[str, int, int, int], place: str
) -> None:
    with pytest.raises(ClipsError) as caught:
        plan_films(*given, seed=0)
    assert str(caught.value.place) == place


@pytest.mark.slow
def test_films_are_written_as_the_released_ones(tmp_path: Path) -> None:
    plan = {
        "62_0": replace(FILM, frames=60),
        "62_1": replace(FILM, frames=60, still=True),
        "1_0": replace(FILM, source=1, frames=60, leak=5, neighbour="A"),
    }
    assert write_phonics(tmp_path, plan, size=64, workers=1) == 3
    assert write_phonics(tmp_path, plan, size=64, workers=1) == 0
    seen = probe(tmp_path / "62_0.mp4")
    assert (seen.sample_rate, seen.channels) == (44100, 2)
    assert seen.fps == pytest.approx(choose_source_style(62, 0).fps, abs=0.01)
    found, problems = phonics.find_sources(tmp_path)
    assert [one.recording for one in found] == ["1_0", "62_0", "62_1"]
    assert {one.label for one in found} == {"M"}
    assert all(one.truth is not None for one in found)
    assert not problems
    named = {remark.file: remark.problem for one in found for remark in one.remarks}
    assert named["62_1.mp4"].startswith("it is a still")
    assert "another slide" in named["1_0.mp4"]
    assert set(named) == {"62_1.mp4", "1_0.mp4"}
    with pytest.raises(ClipsError, match="other settings"):
        write_phonics(tmp_path, plan, size=48, workers=1)
