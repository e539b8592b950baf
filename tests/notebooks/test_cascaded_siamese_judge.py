"""cascaded_siamese: the claims' numbers of a run's records, and what they compare."""

import ast
import re
from typing import Any

import pytest
import step_runs
from avnb_notebooks.cascaded_siamese import series
from avnb_notebooks.cascaded_siamese import step1_data as data
from avnb_notebooks.cascaded_siamese import step6_baselines as baselines

REAL = "real videos"
TABLE1 = [*series.RIVALS, series.CASCADE]
TABLE3 = [series.ONE, series.SHUFFLED, series.GENERATORS, series.CASCADE]
CASCADES = [series.NO_SKIPS, series.NO_STILLS, series.OURS]
# The further down, the better: each is by 1 better than the one before.
ORDER = [*TABLE3[:-1], series.NO_ORDER, *series.RIVALS, series.CASCADE]


def number(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 1, "high": value + 1}


def make_results() -> dict[str, dict[str, Any]]:
    """Records of a run in which the order of quality is that of `ORDER`."""
    rank = {name: number(float(len(ORDER) - k)) for k, name in enumerate(ORDER)}
    table1, kept, heldout, entrances = [], [], [], []
    moved = {REAL: 4.0, series.NO_STILLS: 3.75}
    heard = {series.OURS: 0.8}
    for name in [REAL, series.STILL, *TABLE1, *CASCADES]:
        level = rank.get(name, number(20.0 if name == series.STILL else 12.0))
        row = {f"{c}, held out": level for c in ("FVD", "KID", "LPIPS")}
        table1.append({"videos": name} | row | {f"{c}, train": level for c in ("FVD",)})
        about = {"class kept, held out": number(heard.get(name, 0.75))}
        about |= {"motion, held out": moved.get(name, 3.0)}
        kept.append({"videos": name} | about)
        lpips = {"LPIPS, train": number(level["value"] - 0.5), "LPIPS, held out": level}
        heldout.append({"videos": name} | lpips)
        for part, shift in (("train", 0.3), ("held out", 0.0)):
            row = {"videos": name, "part": part}
            row["r, own sound"] = number(heard.get(name, 0.6) + shift)
            row["r, foreign sound, own onset"] = number(0.1)
            entrances.append(row | {"near": number(0.5), "error": number(2.0)})
    table3 = [
        {"videos": name, "FVD": rank[name], "jump": rank[name]}
        | {"order read right": number(0.25)}
        for name in [*TABLE3, series.NO_ORDER]
    ]
    deaf = [{"real videos with": k, "FVD": 7.0} for k in ("own", "others")]
    mouth = [
        {"quantity": series.MOUTH, "videos": name, "pairs": number(r)}
        for name, r in ((series.CASCADE, 0.45), (series.OURS, 0.55))
    ]
    equal = [{"videos": "G3AN", "FVD, equal steps": number(3.0)}]
    equal[0]["FVD, equal weights"] = number(5.5)
    judge = {"table1": table1, "table3": table3, "kept": kept, "heldout": heldout}
    judge |= {"entrances_made": entrances, "deaf": deaf, "motion": mouth}
    judge["equal"] = equal
    return {"step8_judge": judge}


def test_the_claims_numbers_have_the_right_signs() -> None:
    found = series.evidence(make_results())
    wanted = {
        "best": 1.0,  # the best rival is the last before the cascade
        "best_kid": 1.0,
        "skips": 11.0,  # 12 without them, 1 with
        "skips_between": 2.5,  # ranks 5, 4, 3 without skips, 2 and 1 with
        "shuffle_alone": 1.0,
        "cascade_needed": 7.0,
        "gens_hurt": -2.0,  # here several generators are better than one stream
        "order": 5.0,
        "follows_sound": 0.5,
        "enters": 0.6,
        "fvd_is_sync": 0.0,
        "heldout": -0.5,
        "beats_still": 19.0,
        "kept": 0.75,
        "mouth": 0.45,
        "borders": 6.0,
        "static": 0.75,
        "calm": 0.25,
        "enters_ours": 0.8,
        "foreign_ours": -0.1,
        "kept_ours": 0.8,
        "beats_still_ours": 8.0,
        "mouth_ours": 0.55,
    }
    assert found == pytest.approx(wanted)
    assert set(found) == {claim.name for claim in series.CLAIMS}


def test_fvd_that_does_not_change_fails_its_claim() -> None:
    (claim,) = (one for one in series.CLAIMS if one.name == "fvd_is_sync")
    value = series.evidence(make_results())["fvd_is_sync"]
    assert value is not None
    assert value < claim.above
    assert claim.budget  # no network is trained for it, so none must be flat


def test_what_was_not_trained_or_is_not_known_has_no_number() -> None:
    results = make_results()
    judge = results["step8_judge"]
    del judge["equal"]
    for table in ("table1", "table3", "kept", "heldout"):
        kept = (REAL, series.STILL, series.CASCADE)
        judge[table] = [row for row in judge[table] if row["videos"] in kept]
    del judge["entrances_made"], judge["motion"]  # as with real recordings
    judge["deaf"] = [{"real videos with": k} for k in ("own", "others")]  # too few
    found = series.evidence(results)
    known = {name for name, value in found.items() if value is not None}
    assert known == {"heldout", "beats_still", "kept", "calm"}
    series.headlines(results)


def test_headlines_are_numbers_with_units() -> None:
    found = series.headlines(make_results())
    assert found[f"{series.CASCADE}, r"] == 0.6  # held out, not the 0.9 of the training
    assert found[f"{series.CASCADE}, foreign sound, r"] == 0.1
    assert found[f"{series.ONE}, jump"] == 9.0
    assert found["G3AN, equal weights, held out, FVD"] == 5.5
    assert all(isinstance(value, float) for value in found.values())
    ends = [name.rpartition(", ")[2] for name in found]
    assert set(series.UNITS) <= set(ends)


def test_titles_are_those_of_the_methods() -> None:
    titles = {method.title for method in baselines.list_methods().values()}
    named = {series.CASCADE, series.ONE, series.SHUFFLED, series.GENERATORS}
    assert named | {series.NO_ORDER, *CASCADES, *series.RIVALS} <= titles
    assert {network for c in series.CLAIMS for network in c.networks} <= titles
    rivals = {baselines.get_method(key).title for key in baselines.TABLE1}
    assert rivals == set(series.RIVALS)
    assert (*baselines.TABLE1, "cascade") == series.TABLE1


def test_the_mouth_has_the_name_that_step_1_gives_it() -> None:
    assert data.QUANTITIES["mouth_open"] == series.MOUTH


def test_rows_that_always_have_distances_are_rows() -> None:
    text = step_runs.read_text("cascaded_siamese", "step8_judge")
    (few,) = re.findall(r"^FEW = (.*)$", text, flags=re.M)
    titles = {method.title for method in baselines.list_methods().values()}
    names = ast.literal_eval(few)
    assert set(names) <= titles | {series.STILL}
    assert {series.CASCADE, series.OURS} <= set(names)
