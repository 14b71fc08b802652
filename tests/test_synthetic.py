"""Synthetic videos: bones have constant length, motion is smooth, actions are distinct, joints are exact."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from skdpipe.errors import ConfigError, SkdpipeError
from skdpipe.skeleton import COCO_17, UNSEEN
from skdpipe.synthetic import ACTIONS, Scene, exact_poses, make_scene, render_clip, render_frame
from skdpipe.synthetic.actors import Lighting
from skdpipe.synthetic.body import MOUTH, Figure
from skdpipe.synthetic.draw import HEAD, SUPERSAMPLING, Shape, capsules, paint

PAIR_ACTIONS = ("handshake", "push")
STANDING = ("drink", "phone_call", "clap", "rub_hands", "wave", "squat", "handshake", "push")
LEFT, RIGHT = 0, 1


def scene(action: str, subject: int = 0, take: int = 0, **settings: object) -> Scene:
    return make_scene(action, subject=subject, take=take, seed=7, **settings)  # type: ignore[arg-type]


def viewed_from(shown: Scene, degrees: float) -> Scene:
    """The scene from another side; the person is in the middle, with about 70 % of the frame's height."""
    focal = 0.7 * shown.size[1] * shown.camera.distance / shown.actors[0].body.height
    centre = ((shown.size[0] - 1) / 2, (shown.size[1] - 1) / 2)
    azimuth = float(np.deg2rad(degrees))
    return replace(
        shown, camera=replace(shown.camera, azimuth=azimuth, elevation=0.0, focal=focal, centre=centre)
    )


def with_even_lighting(shown: Scene) -> Scene:
    return replace(shown, lighting=Lighting((1.0, 1.0, 1.0), 0.0, 0.0, 0.0))


def palm(figure: Figure, side: int) -> np.ndarray:
    return (figure.wrists[:, side] + figure.fingers[:, side]) / 2


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


def test_actions_are_the_ten_in_order() -> None:
    assert ACTIONS == (
        "drink", "phone_call", "clap", "rub_hands", "wave",
        "jumping_jack", "squat", "kick", "handshake", "push",
    )  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_a_clip_has_frames_and_matching_poses(action: str) -> None:
    clip = render_clip(scene(action, size=(64, 48), frames=5, fps=8.0))
    people = 2 if action in PAIR_ACTIONS else 1
    assert clip.frames.shape == (5, 48, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.frames.std() > 5
    assert clip.poses.keypoints.shape == (5, people, 17, 3)
    assert clip.poses.keypoints.dtype == np.float32
    assert clip.poses.layout is COCO_17
    assert (clip.poses.fps, clip.poses.size, clip.poses.video_frames) == (8.0, (64, 48), 5)
    assert clip.poses.origin.label == action


def test_the_same_numbers_give_the_same_bytes() -> None:
    first, second = (render_clip(scene("wave", subject=3, take=2, frames=4)) for _ in range(2))
    assert first.frames.tobytes() == second.frames.tobytes()
    assert first.poses.keypoints.tobytes() == second.poses.keypoints.tobytes()
    assert first.poses.origin.key == second.poses.origin.key


@pytest.mark.parametrize("action", ["wave", "push"])
def test_exact_poses_are_those_of_the_rendered_frames(action: str) -> None:
    shown = scene(action, subject=5, take=1, size=(64, 48), frames=5)
    shown = replace(shown, camera=replace(shown.camera, focal=1.6 * shown.camera.focal))  # joints outside
    poses = exact_poses(shown)
    rendered = np.stack([render_frame(shown, frame)[1] for frame in range(5)])
    np.testing.assert_array_equal(poses.keypoints, rendered)
    assert 0 < poses.seen.mean() < 1
    assert poses.frame_index.tolist() == [0, 1, 2, 3, 4]


def test_pixels_and_joints_do_not_change_between_versions() -> None:
    """Embedded weights, measured accuracies and seeds of configs refer to exactly these bytes."""
    digest = hashlib.sha256()
    for number, action in enumerate(ACTIONS):
        rendered = render_frame(scene(action, subject=number, take=1, size=(96, 72), frames=8), 5)
        for array in rendered:
            digest.update(array.tobytes())
    assert digest.hexdigest() == "f69387d207877c51939fe3b9081927021cdae4b8051a7e6f10266de42e9c4dff"


def test_frames_can_be_rendered_in_any_order() -> None:
    forwards, backwards = scene("kick", frames=6), scene("kick", frames=6)
    late = render_frame(backwards, 5)[0]
    render_frame(backwards, 0)
    assert np.array_equal(render_frame(forwards, 5)[0], late)


def test_the_subject_determines_the_body_and_the_take_the_camera() -> None:
    base, retake, other = scene("clap"), scene("clap", take=1), scene("clap", subject=1)
    assert base.actors[0].body == retake.actors[0].body
    assert base.actors[0].clothes.skin == retake.actors[0].clothes.skin
    assert base.camera != retake.camera
    assert base.actors[0].body != other.actors[0].body


@pytest.mark.parametrize("action", ACTIONS)
def test_bones_have_constant_lengths(action: str) -> None:
    for subject in range(4):
        shown = scene(action, subject, subject)
        for who, figure in zip(shown.actors, shown.figures, strict=True):
            body, joints = who.body, figure.joints()
            named = {
                ("left_shoulder", "left_elbow"): body.upper_arm,
                ("right_elbow", "right_wrist"): body.forearm,
                ("left_shoulder", "right_shoulder"): 2 * body.shoulder,
                ("left_hip", "right_hip"): 2 * body.hip,
                ("right_hip", "right_knee"): body.thigh,
                ("left_knee", "left_ankle"): body.shin,
            }
            for (a, b), length in named.items():
                measured = distance(joints[:, COCO_17.index(a)], joints[:, COCO_17.index(b)])
                np.testing.assert_allclose(measured, length, rtol=1e-6)
            face = distance(joints[:, COCO_17.index("nose")], joints[:, COCO_17.index("left_ear")])
            np.testing.assert_allclose(face, face[0], rtol=1e-6)


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_smooth(action: str) -> None:
    """A jump in position or velocity would double the second difference at half the time step."""

    def largest_acceleration(fps: float) -> float:
        worst = 0.0
        for subject in range(4):
            figures = scene(action, subject, subject, frames=int(2 * fps), fps=fps).figures
            worst = max(worst, *(np.abs(np.diff(f.joints(), 2, axis=0)).max() * fps**2 for f in figures))
        return float(worst)

    assert largest_acceleration(256) < 1.3 * largest_acceleration(128)
    assert largest_acceleration(128) < 150  # m/s², a kick


@pytest.mark.parametrize("action", STANDING)
def test_feet_are_on_the_floor(action: str) -> None:
    for subject in range(6):
        shown = scene(action, subject, subject)
        for who, figure in zip(shown.actors, shown.figures, strict=True):
            lowest = figure.ankles[..., 2].min(axis=1) - who.body.ankle
            assert np.abs(lowest).max() < 0.02


def test_left_joints_are_on_the_right_of_the_image_when_the_person_faces_the_camera() -> None:
    shown = scene("rub_hands", subject=2)
    for degrees, sign in ((0, 1), (180, -1)):
        _, keypoints, _ = render_frame(viewed_from(shown, degrees), 20)
        x = dict(zip(COCO_17.joints, keypoints[0, :, 0].tolist(), strict=True))
        for joint in ("shoulder", "elbow", "hip", "knee", "ankle", "ear", "eye"):
            assert sign * (x[f"left_{joint}"] - x[f"right_{joint}"]) > 0


def test_a_face_is_visible_from_the_front_and_not_from_behind() -> None:
    shown = scene("squat", subject=1)
    assert render_frame(viewed_from(shown, 0), 0)[2][0, :3].all()
    assert not render_frame(viewed_from(shown, 180), 0)[2][0, :3].any()


def test_the_far_ear_and_shoulder_are_occluded_from_the_side() -> None:
    _, _, visible = render_frame(viewed_from(scene("wave", subject=1), 90), 0)
    for joint in ("ear", "shoulder", "hip"):
        assert visible[0, COCO_17.index(f"left_{joint}")]
        assert not visible[0, COCO_17.index(f"right_{joint}")]


def test_hands_in_front_of_the_chest_are_occluded_from_behind() -> None:
    hands = slice(COCO_17.index("left_wrist"), COCO_17.index("right_wrist") + 1)
    rubbing = scene("rub_hands", subject=1)
    assert render_frame(viewed_from(rubbing, 0), 31)[2][0, hands].all()
    assert not render_frame(viewed_from(rubbing, 180), 31)[2][0, hands].any()


def test_a_joint_outside_the_frame_is_unseen() -> None:
    shown = scene("clap")
    away = replace(shown, camera=replace(shown.camera, centre=(5000.0, 90.0)))
    _, keypoints, visible = render_frame(away, 0)
    np.testing.assert_array_equal(keypoints, np.broadcast_to(UNSEEN, keypoints.shape))
    assert not visible.any()


def test_drinking_brings_a_hand_to_the_mouth_and_down_again() -> None:
    for subject in range(8):
        shown = scene("drink", subject, subject)
        side = LEFT if shown.actors[0].style.left_handed else RIGHT
        (figure,) = shown.figures
        off = distance(palm(figure, side), figure.trunk.on_head(MOUTH))
        assert off.min() < 0.12
        assert off[0] > 0.25
        assert off[-1] > 0.2


def test_in_a_phone_call_a_hand_stays_at_the_ear() -> None:
    ears = (COCO_17.index("left_ear"), COCO_17.index("right_ear"))
    for subject in range(8):
        shown = scene("phone_call", subject, subject)
        side = LEFT if shown.actors[0].style.left_handed else RIGHT
        (figure,) = shown.figures
        off = distance(palm(figure, side), figure.joints()[:, ears[side]])
        assert off.min() < 0.10
        assert (off < 0.12).mean() > 0.3
        assert distance(palm(figure, side), figure.trunk.on_head(MOUTH)).min() > 0.12


def test_clapping_separates_the_hands_and_rubbing_does_not() -> None:
    for subject in range(8):
        spread = {}
        for action in ("clap", "rub_hands"):
            (figure,) = scene(action, subject, subject).figures
            spread[action] = distance(palm(figure, LEFT), palm(figure, RIGHT))[10:]
            assert spread[action].min() < 0.10
        assert spread["clap"].max() > 0.24
        assert spread["rub_hands"].max() < 0.14


def test_a_kick_lifts_one_foot_and_a_jumping_jack_spreads_the_limbs() -> None:
    for subject in range(4):
        (kicker,) = scene("kick", subject, subject).figures
        lifted = kicker.ankles[..., 2].max(axis=0)
        assert lifted.max() > 0.4
        assert lifted.min() < 0.15
        (jumper,) = scene("jumping_jack", subject, subject).figures
        assert np.ptp(distance(jumper.ankles[:, LEFT], jumper.ankles[:, RIGHT])) > 0.25
        assert (jumper.wrists[..., 2].max(axis=0) > jumper.trunk.head[:, 2].max()).all()


def test_a_handshake_joins_right_hands() -> None:
    for subject in range(8):
        first, second = scene("handshake", subject, subject).figures
        apart = distance(palm(first, RIGHT), palm(second, RIGHT))
        assert apart.min() < 0.08
        assert apart[0] > 0.3


def test_a_push_moves_the_other_person_back() -> None:
    for subject in range(8):
        shoving, pushed = scene("push", subject, subject).figures
        shoulders = pushed.trunk.shoulders.mean(axis=1)
        reach = distance(palm(shoving, RIGHT), shoulders)
        assert reach.min() < 0.28
        contact = int(reach.argmin())
        assert pushed.trunk.pelvis[-1, 0] - pushed.trunk.pelvis[contact, 0] > 0.12


def test_pixel_centres_are_integers() -> None:
    """The centre of mass of a disc in the image is at the given centre."""
    for x, y in ((20.0, 11.0), (20.25, 11.5), (19.75, 12.4)):
        canvas, part_map = (
            np.zeros((24 * SUPERSAMPLING, 40 * SUPERSAMPLING, 3), np.uint8),
            np.zeros((24, 40), np.uint8),
        )
        centre, radius = np.array([[x, y]]), np.array([4.0])
        disc = capsules(centre, centre + np.array([1e-3, 0]), radius, radius)[0]
        paint(canvas, part_map, [(Shape(1.0, HEAD, [(disc, (255, 255, 255))], []), 0)])
        weight = cv2.resize(canvas, (40, 24), interpolation=cv2.INTER_AREA)[..., 0].astype(float)
        rows, columns = np.mgrid[:24, :40]
        assert (columns * weight).sum() / weight.sum() == pytest.approx(x, abs=0.08)
        assert (rows * weight).sum() / weight.sum() == pytest.approx(y, abs=0.08)
        assert part_map[round(y), round(x)] == HEAD


@pytest.mark.parametrize("action", ["wave", "jumping_jack", "clap", "kick"])
def test_a_visible_wrist_is_drawn_at_its_keypoint(action: str) -> None:
    """People with green skin, red shirts and long red trousers are green at wrists, red at knees and hips."""
    found: dict[str, list[bool]] = {"wrist": [], "knee": [], "hip": []}
    for subject in range(3):
        shown = with_even_lighting(scene(action, subject, subject, frames=8, fps=4.0))
        clothes = replace(
            shown.actors[0].clothes,
            skin=(0.0, 220.0, 0.0), shirt=(220.0, 0.0, 0.0), second=(220.0, 0.0, 0.0),
            trousers=(220.0, 0.0, 0.0), sleeve=0.6, leg=1.97, pattern="plain",
        )  # fmt: skip
        shown = replace(shown, actors=(replace(shown.actors[0], clothes=clothes),))
        for frame in range(shown.frames):
            image, keypoints, visible = render_frame(shown, frame)
            for joint, name in enumerate(COCO_17.joints):
                kind = name.split("_")[-1]
                if visible[0, joint] and kind in found:
                    x, y = np.rint(keypoints[0, joint, :2]).astype(int)
                    r, g, b = image[y, x].astype(int)
                    found[kind].append(bool(g > 70 and g > 1.5 * max(r, b)))
    assert min(len(hits) for hits in found.values()) > 12
    assert np.mean(found["wrist"]) > 0.95
    assert np.mean(found["knee"]) < 0.05
    assert np.mean(found["hip"]) < 0.05


def test_views_vary_and_people_have_a_usable_size() -> None:
    tall, inside = [], []
    for take in range(30):
        shown = scene("phone_call", subject=take, take=take)
        _, keypoints, visible = render_frame(shown, 16)
        tall.append(np.ptp(shown.camera.project(shown.figures[0].joints()[16])[:, 1]) / shown.size[1])
        inside.append(keypoints[..., 2].mean())
        assert visible.sum() >= 5
    assert 0.4 < np.median(tall) < 0.8
    assert np.mean(inside) > 0.9


def test_invalid_arguments_raise_an_error_with_a_reason() -> None:
    with pytest.raises(ConfigError, match=r"unknown action 'jump'.*drink"):
        scene("jump")
    with pytest.raises(SkdpipeError, match="expected 0 or more"):
        scene("wave", subject=-1)
    with pytest.raises(ConfigError, match="frames 0"):
        scene("wave", frames=0)
    with pytest.raises(ConfigError, match="frame 32"):
        render_frame(scene("wave"), 32)
