"""Pictures without alternative text are found, wherever a run leaves them."""

import pytest
from nbformat import v4
from whole_series import find_bare, find_bare_tags


@pytest.mark.parametrize(
    ("page", "bare"),
    [
        ("<img src='data:image/png;base64,xx'>", 1),
        ("<img alt='' src='x'>", 1),
        ("<img alt='a cat' src='x'><img src='y'>", 1),
        ('<p><img src="x" alt="a cat"></p>', 0),
        ("<video src='x'></video>", 0),
    ],
)
def test_bare_tags_are_found(page: str, bare: int) -> None:
    assert len(find_bare_tags(page)) == bare
    shown = v4.new_output("display_data", {"text/html": page})
    assert len(find_bare(shown)) == bare


@pytest.mark.parametrize(
    ("metadata", "bare"),
    [({}, 1), ({"image/png": {"alt": "a cat"}}, 0), ({"image/png": {"width": 3}}, 1)],
)
def test_bare_outputs_are_found(metadata: dict, bare: int) -> None:
    data = {"image/png": "xx", "text/plain": "<Figure>"}
    assert (
        len(find_bare(v4.new_output("display_data", data, metadata=metadata))) == bare
    )
