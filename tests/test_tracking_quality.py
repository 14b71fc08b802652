"""Identity switches and IDF1 derived by hand, and the exact identities of actors who cross."""

import numpy as np
import pytest
from crossing_actors import Footage, detect_with_errors, exact_sequence, hidden_joints, walking_scene
from tracking_quality import Numbers, judge_all, measure_quality, oks_sort, track_all

from skdpipe.skeleton import Keypoints


def footage_of(identities: list[list[int]]) -> Footage:
    nobody: list[Keypoints] = [np.zeros((len(each), 17, 3), np.float32) for each in identities]
    times = np.arange(len(identities)) / 10
    return Footage(nobody, [np.array(each, np.intp) for each in identities], times, 10.0)


@pytest.mark.parametrize(
    ("identities", "tracks", "switches", "idf1"),
    [
        ([[0, 1], [1, 0]], [[5, 3], [3, 5]], 0, 1.0),
        # Both are exchanged after the second of four frames: each keeps one of two tracks for half the time.
        ([[0, 1]] * 4, [[0, 1], [0, 1], [1, 0], [1, 0]], 2, 0.5),
        # A person returns with a new number: two of three detections in the best track.
        ([[0], [0], [], [0]], [[0], [0], [], [1]], 1, 2 / 3),
        # A detection without a track lowers the recall alone: 2 * 2 / (3 + 2).
        ([[0], [0], [0]], [[-1], [4], [4]], 0, 0.8),
        # A track of something that is nobody lowers the precision alone: 2 * 2 / (2 + 3).
        ([[0], [0, -1]], [[0], [0, 1]], 0, 0.8),
        ([[0], [0], [0]], [[0], [1], [0]], 2, 2 / 3),
    ],
)
def test_switches_and_idf1_by_hand(
    identities: list[list[int]], tracks: list[list[int]], switches: int, idf1: float
) -> None:
    numbers: Numbers = [np.array(each, np.intp) for each in tracks]
    found = measure_quality(footage_of(identities), numbers)
    assert (found.switches, found.idf1) == (switches, pytest.approx(idf1))


def test_a_joint_is_hidden_behind_somebody_nearer_only() -> None:
    scene = walking_scene(5, 4, 10, seed=3)
    hidden = hidden_joints(scene)
    depth = np.stack(
        [scene.camera.project(each.joints())[:, 11:13, 2].mean(axis=1) for each in scene.figures], axis=1
    )
    assert hidden.any()
    assert not hidden[np.arange(len(depth)), depth.argmin(axis=1)].any()


def test_detections_are_near_the_exact_poses_of_their_actors() -> None:
    scene = walking_scene(3, 4, 10, seed=1)
    exact = exact_sequence(scene).keypoints
    shown = detect_with_errors(scene, seed=1)
    for poses, people, who in zip(exact, shown.frames, shown.identities, strict=True):
        assert len(set(who[who >= 0])) == (who >= 0).sum()
        off = np.linalg.norm((people[who >= 0] - poses[who[who >= 0]])[..., :2], axis=-1)
        assert (np.nanmedian(off, axis=1) < 60).all()  # exchanged sides move joints by a body's width


def test_actors_who_cross_keep_their_identities_better_than_with_a_plain_tracker() -> None:
    shown = [detect_with_errors(walking_scene(3, 10, 30, seed), seed) for seed in range(4)]
    (switches, idf1), (plain_switches, plain_idf1) = (
        judge_all(each, shown) for each in (track_all, oks_sort)
    )
    assert switches < plain_switches
    assert idf1 > plain_idf1
