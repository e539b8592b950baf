"""Steps 4 and 7 of ms_vae against the released scripts, on a copy of AVE's test split.

The scripts are written out again here, a query at a time, from what is known of them:
every row of features is divided by its largest absolute value; a video is located by
half the distance of the means plus half the distance of the reconstructions, summed
over the seconds of the event; retrieval takes the mean square of the reconstructions'
difference in place of its norm, and has two mistakes in its ranks.
"""

from itertools import pairwise
from typing import Any

import ave_layout
import numpy as np
import pytest
import torch
from avnb_notebooks.ms_vae import step4_model as model
from test_ms_vae_judge import random_run, run
from torch import Tensor

from avnb.metrics import localise
from data_scripts.ave import KINDS

SPANS, LABELS = ave_layout.match_spans(), ave_layout.match_labels()


def event_of(spans: list[tuple[int, int]]) -> Tensor:
    second = torch.arange(10)
    return torch.stack([(second >= a) & (second < b) for a, b in spans])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What step 7 defines after it ran on made-up features of 402 videos."""
    folder, names = tmp_path_factory.mktemp("match"), {}
    label = [KINDS.index(kind) for kind in LABELS]
    random_run(folder, label, event_of(SPANS))
    names["results"] = run("step7_judge", folder, names=names)
    return names


def evaluate(net: model.MSVAE, x: Tensor, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and reconstructed pairs of rows, with NumPy and the weights alone."""
    rows = x.double().numpy()
    rows = rows / np.abs(rows).max(axis=-1, keepdims=True)

    def layers(sequence: Any, rows: np.ndarray) -> np.ndarray:
        linear = [part for part in sequence if hasattr(part, "weight")]
        for k, part in enumerate(linear):
            rows = rows @ part.weight.double().detach().cpu().numpy().T
            rows = rows + part.bias.double().detach().cpu().numpy()
            if k < len(linear) - 1:
                rows = np.maximum(rows, 0)
        return rows

    encoder = net.encoders[name]
    mu = layers([encoder.heads], layers(encoder.body, rows))[..., :100]
    return mu, layers(net.decoders["both"], mu)


@pytest.mark.slow
def test_every_answer_is_that_of_the_released_script(judged: dict[str, Any]) -> None:
    """In each of the 402 videos, in both directions, and in all of Table 1's row."""
    net, test = judged["models"]["MS-VAE + W"], judged["test"]
    seen = evaluate(net, test.visual, "visual")
    heard = evaluate(net, test.audio, "audio")
    found = {}
    for name, query, other in (("A2V", heard, seen), ("V2A", seen, heard)):
        answers = []
        for video, (start, end) in enumerate(SPANS):
            costs = []
            for first in range(10 - (end - start) + 1):
                total = 0.0
                for k in range(end - start):
                    a, b = start + k, first + k
                    latent = query[0][video, a] - other[0][video, b]
                    made = query[1][video, a] - other[1][video, b]
                    total += 0.5 * np.sqrt((latent**2).sum())
                    total += 0.5 * np.sqrt((made**2).sum())
                costs.append(total)
            answers.append(int(np.argmin(costs)))
        found[name] = answers
    distance = judged["between"]["MS-VAE + W"]
    for name, one in (("A2V", distance.mT), ("V2A", distance)):
        assert localise(one, test.event).tolist() == found[name], name
    rows = {row["model"]: row for row in judged["results"]["table1"]}
    for name, answers in found.items():
        right = np.mean(
            [t == start for t, (start, _) in zip(answers, SPANS, strict=True)]
        )
        assert rows["MS-VAE + W"][name]["value"] == pytest.approx(right)
    trivial = {"uniform chance": 20.8, "always first": 35.3, "always last": 46.8}
    for name, printed in trivial.items():
        assert round(100 * rows[name]["average"]["value"], 1) == printed


def rank_as_released(
    scores: dict[str, np.ndarray], labels: np.ndarray
) -> dict[str, float]:
    """The released retrieval script, query after query, with its two mistakes."""

    def first_hit(order: np.ndarray, label: int) -> float:
        for rank, item in enumerate(order, start=1):
            if labels[item] == label:
                return 1 / rank
        return 0.0

    n, found = len(labels), {}
    for kind in ("A-A", "V-V"):
        total = 0.0
        for q in range(n):
            without = np.delete(scores[kind][q], q)
            # these positions are looked up in labels that still have the query
            total += first_hit(np.argsort(without, kind="stable"), labels[q])
        found[kind] = total / n
    total = 0.0
    for q in range(n):
        across = np.argsort(scores["V-A"][q], kind="stable")
        total += first_hit(across, labels[q])
        left_over = np.argsort(np.delete(scores["V-V"][q], q), kind="stable")
    found["V-A"] = total / n
    # the loop over the sounds never computes its own ranking
    found["A-V"] = sum(first_hit(left_over, labels[q]) for q in range(n)) / n
    return found


@pytest.mark.slow
def test_retrieval_as_released_is_the_released_script(judged: dict[str, Any]) -> None:
    """In the four directions, with the script's own score and its own ranks."""
    net, test = judged["models"]["MS-VAE + W"], judged["test"]
    drawn = judged["seconds"][0]
    one_each = torch.arange(len(test)), drawn
    codes = {
        "V": evaluate(net, test.visual[one_each], "visual"),
        "A": evaluate(net, test.audio[one_each], "audio"),
    }
    scores = {}
    for kind in ("A-A", "A-V", "V-A", "V-V"):
        (mu, made), (mu_2, made_2) = codes[kind[0]], codes[kind[2]]
        latent = np.linalg.norm(mu[:, None] - mu_2[None], axis=-1)
        square = np.stack([((row - made_2) ** 2).mean(-1) for row in made])
        scores[kind] = 0.5 * latent + 0.5 * square
    labels = test.label.numpy()
    right = rank_as_released(scores, labels)
    case = {kind: torch.from_numpy(score) for kind, score in scores.items()}
    assert judged["mrr_as_released"](case) == pytest.approx(right, abs=1e-12)
    # the four numbers differ, so that a direction in another's place would be seen
    assert all(abs(a - b) > 1e-4 for a, b in pairwise(sorted(right.values())))


@pytest.mark.slow
def test_the_distance_is_the_released_one_in_localisation(
    judged: dict[str, Any],
) -> None:
    net, test = judged["models"]["MS-VAE + W"], judged["test"]
    (mu, made), (mu_2, made_2) = (
        evaluate(net, getattr(test, name)[:2, 0], name) for name in ("visual", "audio")
    )
    wanted = np.linalg.norm(mu - mu_2, axis=1) / 2
    wanted += np.linalg.norm(made - made_2, axis=1) / 2
    found = judged["between"]["MS-VAE + W"][:2, 0, 0]
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
