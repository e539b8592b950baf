"""Speaking heads: the mouth follows the phones, and everybody says two sentences."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from avnb.errors import ClipsError
from data_scripts import vidtimit
from data_scripts.bandstand.layouts.vidtimit import plan_heads, write_vidtimit
from data_scripts.bandstand.sentences import (
    COMMON,
    NAMES,
    SentenceTake,
    say,
    turn_head,
    write_sentence,
)
from data_scripts.bandstand.songs import PHONES


def test_a_sentence_is_the_same_for_all_and_each_says_it_in_another_way() -> None:
    sentence = write_sentence("sa1", seed=0)
    assert sentence[0] == ("sh", "i")
    assert sentence == write_sentence("sa1", seed=5)
    assert write_sentence("si1", 0) == write_sentence("si1", 0)
    assert write_sentence("si1", 0) != write_sentence("si2", 0)
    one, two = say(sentence, 1, 7), say(sentence, 2, 7)
    phones = [p for word in sentence for p in word]
    for speech in (one, two):
        assert [p.phone for p in speech.phones] == [PHONES[name] for name in phones]
    assert one.duration != two.duration
    # All of VidTIMIT's sentences have 56 to 240 frames.
    for name in (*COMMON, *(f"si{k}" for k in range(20))):
        frames = say(write_sentence(name, 0), 3, 1).duration * 25
        assert frames == pytest.approx(round(frames))
        assert 40 <= frames <= 240


def test_the_mouth_opens_with_vowels_and_shuts_for_m_b_and_p() -> None:
    take = SentenceTake(say((("m", "a", "b", "a", "p", "a"),) * 3, 2, 3))
    times = np.arange(int(take.duration * 100)) / 100
    known = take.measure(times)
    vowel, shut = NAMES.index("a"), [NAMES.index(name) for name in "mbp"]
    opened = known["mouth_open"][known["phone"] == vowel]
    # In the middle of a phone, where the neighbours are least felt.
    middles = [p.onset + p.seconds / 2 for p in take.spoken.phones]
    rows = np.round(np.array(middles) * 100).astype(int)
    closed = [k for k in rows if known["phone"][k] in shut]
    assert opened.mean() > 0.6
    assert known["mouth_open"][closed].mean() < 0.3
    assert known["onset_phone"].sum() == len(take.spoken.phones)
    # Silence has no phone, and the mouth is shut in it.
    assert (known["phone"][:10] == -1).all()
    assert known["mouth_open"][:10].max() < 0.05


def test_the_picture_and_the_sound_follow_one_speech() -> None:
    take = SentenceTake(say(write_sentence("sa2", 0), 4, 9))
    known = take.measure(np.arange(int(take.duration * 25)) / 25)
    wide = int(np.argmax(known["mouth_open"]))
    shut = int(np.argmin(known["mouth_open"]))
    one, two = take.draw(wide / 25, 96), take.draw(shut / 25, 96)
    x, y = (known[f"mouth_{axis}"][wide] * 96 for axis in "xy")
    mouth = (slice(int(y) - 4, int(y) + 12), slice(int(x) - 8, int(x) + 8))
    assert np.abs(one[mouth].astype(int) - two[mouth]).mean() > 8
    sound = take.synthesise(16000)
    level = np.sqrt(
        np.square(sound[: len(sound) // 640 * 640].reshape(-1, 640)).mean(1)
    )
    r = np.corrcoef(level[: len(known["loudness"])], known["loudness"][: len(level)])
    assert r[0, 1] > 0.7


def test_a_turning_head_turns_and_says_nothing() -> None:
    take = SentenceTake(turn_head(4, 3.0, 9))
    known = take.measure(np.arange(75) / 25)
    assert known["mouth_open"].max() == 0
    assert np.ptp(known["head_angle"]) > 0.01
    assert not known["onset"].any()


def test_a_plan_has_common_and_own_sentences() -> None:
    plan = plan_heads(4, 5, seed=0)
    said: dict[str, set[str]] = {}
    for person, _, sentence, _ in plan.values():
        said.setdefault(person, set()).add(sentence)
    heads = {"head", "head2", "head3"}
    assert all(len(found - heads) == 5 and heads < found for found in said.values())
    first, second, *_ = said.values()
    assert first & second == {"sa1", "sa2", *heads}
    players = {player for _, player, _, _ in plan.values()}
    assert len(players) == 4
    assert not players & {player for _, player, _, _ in plan_heads(4, 5, 1).values()}
    with pytest.raises(ClipsError):
        plan_heads(1, 5, 0)
    with pytest.raises(ClipsError):
        plan_heads(4, 2, 0)


@pytest.mark.slow
def test_heads_are_written_as_vidtimit(tmp_path: Path) -> None:
    given = {"persons": 2, "sentences": 3, "size": 48}
    # Two persons: three sentences and three turning heads each.
    assert write_vidtimit(tmp_path, **given, workers=1) == 12
    assert write_vidtimit(tmp_path, **given, workers=1) == 0
    video = tmp_path / "p00" / "video" / "sa1"
    names = sorted(path.name for path in video.iterdir())
    assert names == [f"{k:03d}" for k in range(1, len(names) + 1)]
    with Image.open(video / "001") as picture:
        assert (picture.format, picture.size) == ("JPEG", (64, 48))
    sound = soundfile.info(tmp_path / "p00" / "audio" / "sa1.wav")
    assert (sound.samplerate, sound.channels) == (32000, 1)
    assert round(sound.duration * 25) == len(names)
    found, problems = vidtimit.find_sources(tmp_path)
    assert {one.label for one in found} == {"p00", "p01"}
    assert all(one.truth is not None for one in found)
    assert not problems
    assert found[0].remarks[0].problem.startswith("6 folders")
    with pytest.raises(ClipsError, match="other settings"):
        write_vidtimit(tmp_path, persons=3, sentences=3, size=48, workers=1)
