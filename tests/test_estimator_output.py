"""What an estimator returns is checked, and an estimator that fails is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from squares import SquareFinder

from skdpipe.config import PluginSettings
from skdpipe.errors import PoseError
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_frames
from skdpipe.pose.load import load_estimator
from skdpipe.pose.protocol import detect_people
from skdpipe.skeleton import COCO_17, Origin

FRAMES = [np.zeros((48, 64, 3), np.uint8)] * 2


class Returning(SquareFinder):
    """Returns what it was given, or raises it."""

    def __init__(self, returned: object) -> None:
        super().__init__()
        self._returned = returned

    def __call__(self, frames):  # type: ignore[no-untyped-def]
        if isinstance(self._returned, Exception):
            raise self._returned
        print("progress of the estimator")  # noqa: T201
        return self._returned


def people(x: float = 5, confidence: float = 0.5, count: int = 3, **dtype: type) -> np.ndarray:
    """People whose joints are all at one x."""
    joints = np.full((count, len(COCO_17), 3), x, dtype.get("dtype", np.float32))
    joints[..., 2] = confidence
    return joints


def test_people_are_returned_as_they_are() -> None:
    unseen = np.full((1, 17, 3), (np.nan, np.nan, 0), np.float32)
    for found in ([people(), people(count=0)], [unseen, people(-639, 1)], (people(639), people())):
        for returned, expected in zip(detect_people(Returning(found), FRAMES), found, strict=True):
            np.testing.assert_array_equal(returned, expected)


def test_what_an_estimator_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    estimator = SampledEstimator(Returning([people(), people()]))
    estimate_frames(FRAMES, 25.0, [estimator], Origin(), people=1, batch=2)
    assert capsys.readouterr() == ("", "progress of the estimator\n")


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (None, "returned a NoneType for 2 frames"),
        (people(), "returned a ndarray for 2 frames"),
        ([people()], "returned 1 items for 2 frames"),
        ([people(), [1, 2, 3]], r"returned a list for a frame; expected floats of shape \(people, 17, 3\)"),
        ([people(), people(dtype=np.int64)], "returned int64 of shape"),
        ([people(), people()[:, :16]], r"float32 of shape \(3, 16, 3\)"),
        ([people(), people()[0]], r"float32 of shape \(17, 3\)"),
        ([people(), people()[..., :2]], r"float32 of shape \(3, 17, 2\)"),
        ([people(), people(np.nan)], "a seen joint that is NaN"),
        ([people(), people(np.inf)], "a seen joint that is NaN or beyond 10 times the frame"),
        ([people(), people(641)], "beyond 10 times the frame"),
        ([people(), people(confidence=1.01)], "a confidence that is not between 0 and 1"),
        ([people(), people(confidence=np.nan)], "a confidence that is not between 0 and 1"),
        ([people(), people(confidence=-1)], "a confidence that is not between 0 and 1"),
        ([people(), people(confidence=0)], "expected NaN, NaN, 0 if unseen"),
        (RuntimeError("out\nof memory"), r"failed \(RuntimeError: out of memory\)"),
        (MemoryError(), r"failed \(MemoryError"),
    ],
)
def test_anything_else_is_refused_with_the_estimators_name(returned: object, why: str) -> None:
    with pytest.raises(PoseError, match=f"^the estimator 'squares threshold128' .*{why}") as caught:
        detect_people(Returning(returned), FRAMES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('two\\nlines')", "cannot load .*RuntimeError: two lines"),
        ("raise RecursionError", "cannot load .*RecursionError"),
        ("def Mine(): raise KeyError('weights')", "cannot be called with options .*KeyError: 'weights'"),
        ("def Mine(): return 3", "returned no pose estimator"),
        ("class Mine:\n fingerprint = 'a'\n def __call__(self, frames): pass", "returned no pose estimator"),
        ("class Mine:\n layout = fingerprint = 'a'\n def __call__(self, f): pass", "unusable layout"),
        (
            "class Mine:\n layout = fingerprint = 3\n def __call__(self, f): pass",
            "the fingerprint 3; expected",
        ),
        (
            "class Mine:\n layout = 1\n @property\n def fingerprint(self): return 1 / 0\n"
            " def __call__(self, f): pass",
            "unusable layout or fingerprint .*division by zero",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(tmp_path: Path, code: str, why: str) -> None:
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(PoseError, match=why) as caught:
        load_estimator(PluginSettings(plugin=f"{tmp_path}/mine.py:Mine"), torch.device("cpu"))
    assert "mine.py:Mine" in str(caught.value)
    assert "\n" not in str(caught.value)
