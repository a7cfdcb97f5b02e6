from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from motionlang_pl.motion.angles import ANGLES, MIRROR, MIRROR_SIGN, PARTS, angles, column_joints
from motionlang_pl.motion.features import column_map, columns, compute, joints_from
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

REAL = Path(__file__).parents[3] / "shared" / "data"
BOTH = pytest.mark.parametrize("skeleton", [SMPL22, MMM21], ids=lambda skeleton: skeleton.name)
QUARTER, TWELFTH = math.pi / 2, math.pi / 6
SINE, COSINE = math.sin(TWELFTH), math.cos(TWELFTH)
UPPER = ("neck", "head", *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")))


def place(joint: str) -> tuple[float, float, float]:
    """Where a joint is in a body that stands at attention, facing +z, arms hanging, all bones straight."""
    side, _, name = joint.rpartition("_")
    height = {
        **{"pelvis": 1.0, "hip": 0.9, "knee": 0.5, "ankle": 0.1, "heel": 0.05, "foot": 0.1},
        **{"spine1": 1.0, "spine2": 1.2, "spine3": 1.3, "neck": 1.5, "head": 1.7},
        **{"collar": 1.4, "shoulder": 1.5, "elbow": 1.2, "wrist": 0.95},
    }[name]
    out = 0.2 if name in ("shoulder", "elbow", "wrist") else 0.1
    return {"left": out, "right": -out, "": 0.0}[side], height, 0.15 if name == "foot" else 0.0


def body(skeleton: Skeleton = SMPL22, **moved: tuple[float, float, float]) -> Tensor:
    """One frame (1, J, 3) of that body; `moved` are vectors from the joint's place in it."""
    frame = torch.tensor([place(joint) for joint in skeleton.joints])
    for joint, vector in moved.items():
        frame[skeleton.joints.index(joint)] += torch.tensor(vector)
    return frame[None]


def turned(joints: Tensor, axis: str, angle: float, only: tuple[str, ...] = SMPL22.joints) -> Tensor:
    """Some joints of a SMPL body, turned about an axis through its pelvis."""
    matrix = roma.euler_to_rotmat(axis, [torch.tensor(angle)])
    numbers = [SMPL22.joints.index(joint) for joint in only]
    pelvis = joints[:, :1]
    joints = joints.clone()
    joints[:, numbers] = (joints[:, numbers] - pelvis) @ matrix.mT + pelvis
    return joints


def told(joints: Tensor, skeleton: Skeleton = SMPL22) -> dict[str, float]:
    """The angles of a frame that are not 0."""
    values = dict(zip(ANGLES[3:], angles(joints, skeleton)[0, 3:].tolist(), strict=True))
    return {name: value for name, value in values.items() if abs(value) > 1e-5}


def bodies(skeleton: Skeleton, frames: int = 50) -> Tensor:
    return torch.randn(frames, len(skeleton.joints), 3, generator=torch.Generator().manual_seed(0))


def test_29_columns_stand_in_14_parts() -> None:
    assert len(set(ANGLES)) == 29 and len(PARTS) == 14
    assert [column for part in PARTS.values() for column in range(29)[part]] == list(range(29))
    assert ANGLES[PARTS["right_knee"]] == ("right_knee_flexion",)
    assert ANGLES[PARTS["lumbar"]] == ("lumbar_extension", "lumbar_bending", "lumbar_rotation")


@BOTH
def test_a_body_at_attention_has_no_angles_and_stands_where_its_pelvis_is(skeleton: Skeleton) -> None:
    assert told(body(skeleton), skeleton) == {}
    row = angles(body(skeleton) + torch.tensor([0.1, 0.2, 0.3]), skeleton)[0]
    torch.testing.assert_close(row[:3], torch.tensor([0.3, 1.2, -0.1]))


@BOTH
def test_a_t_pose_differs_from_attention_by_two_arms_raised_sideways(skeleton: Skeleton) -> None:
    arms = {"left_elbow": (0.3, 0.3, 0.0), "left_wrist": (0.55, 0.55, 0.0)}
    arms |= {"right_elbow": (-0.3, 0.3, 0.0), "right_wrist": (-0.55, 0.55, 0.0)}
    expected = {"right_shoulder_adduction": -QUARTER, "left_shoulder_adduction": -QUARTER}
    assert told(body(skeleton, **arms), skeleton) == pytest.approx(expected, abs=1e-5)


POSES: dict[str, tuple[Tensor, dict[str, float]]] = {
    "right knee bent": (
        body(right_ankle=(0, 0.4, -0.4), right_foot=(0, 0.25, -0.55)),
        {"right_knee_flexion": QUARTER},
    ),
    "left elbow bent": (body(left_wrist=(0, 0.25, 0.25)), {"left_elbow_flexion": QUARTER}),
    "right leg lifted to the front": (
        body(right_knee=(0, 0.4, 0.4), right_ankle=(0, 0.8, 0.8), right_foot=(0, 0.95, 0.65)),
        {"right_hip_flexion": QUARTER},
    ),
    "left leg spread to the side": (
        body(left_knee=(0.4, 0.4, 0), left_ankle=(0.8, 0.8, 0), left_foot=(0.8, 0.8, 0)),
        {"left_hip_adduction": -QUARTER},
    ),
    "right leg crossed over": (
        body(
            right_knee=(0.4 * SINE, 0.4 - 0.4 * COSINE, 0),
            right_ankle=(0.8 * SINE, 0.8 - 0.8 * COSINE, 0),
            right_foot=(0.8 * SINE, 0.8 - 0.8 * COSINE, 0),
        ),
        {"right_hip_adduction": TWELFTH},
    ),
    "right thigh turned inwards, knee bent": (
        body(right_ankle=(-0.4 * SINE, 0.4, -0.4 * COSINE), right_foot=(-0.4 * SINE, 0.25, -0.4 * COSINE - 0.15)),
        {"right_knee_flexion": QUARTER, "right_hip_rotation": TWELFTH},
    ),
    "left thigh turned inwards, knee bent": (
        body(left_ankle=(0.4 * SINE, 0.4, -0.4 * COSINE), left_foot=(0.4 * SINE, 0.25, -0.4 * COSINE - 0.15)),
        {"left_knee_flexion": QUARTER, "left_hip_rotation": TWELFTH},
    ),
    "right forearm before the body": (
        body(right_wrist=(0.25 * SINE, 0.25, 0.25 * COSINE)),
        {"right_elbow_flexion": QUARTER, "right_shoulder_rotation": TWELFTH},
    ),
    "left forearm before the body": (
        body(left_wrist=(-0.25 * SINE, 0.25, 0.25 * COSINE)),
        {"left_elbow_flexion": QUARTER, "left_shoulder_rotation": -TWELFTH},
    ),
    "left arm overhead": (
        body(left_elbow=(0, 0.6, 0), left_wrist=(0, 1.1, 0)),
        {"left_shoulder_flexion": math.pi},
    ),
    "on tiptoe": (
        body(left_foot=(0, -0.15, -0.15), right_foot=(0, -0.15, -0.15)),
        {
            "left_ankle_flexion": -QUARTER,
            "right_ankle_flexion": -QUARTER,
        },
    ),
    "nodding": (body(head=(0, 0.2 * COSINE - 0.2, 0.2 * SINE)), {"neck_flexion": TWELFTH}),
    "head to the left": (body(head=(0.2 * SINE, 0.2 * COSINE - 0.2, 0)), {"neck_adduction": -TWELFTH}),
    "bowing": (turned(body(), "X", TWELFTH, UPPER), {"lumbar_extension": -TWELFTH}),
    "leaning to the right": (turned(body(), "Z", TWELFTH, UPPER), {"lumbar_bending": TWELFTH}),
    "trunk turned to the left": (turned(body(), "Y", TWELFTH, UPPER), {"lumbar_rotation": TWELFTH}),
    "facing left": (turned(body(), "Y", QUARTER), {"pelvis_rotation": -QUARTER}),
    "falling forward": (turned(body(), "X", TWELFTH), {"pelvis_tilt": TWELFTH}),
    "falling to the right": (turned(body(), "Z", TWELFTH), {"pelvis_list": -TWELFTH}),
    "upside down": (turned(body(), "X", math.pi), {"pelvis_tilt": math.pi}),
}


@pytest.mark.parametrize("pose", POSES)
def test_a_pose_has_just_its_own_angles(pose: str) -> None:
    joints, expected = POSES[pose]
    assert told(joints) == pytest.approx(expected, abs=1e-5)


@BOTH
def test_where_a_person_stands_and_faces_changes_only_position_and_rotation(skeleton: Skeleton) -> None:
    joints = bodies(skeleton)
    matrix = roma.euler_to_rotmat("Y", [torch.tensor(2.0)])
    one, other = angles(joints, skeleton), angles(joints @ matrix.mT + torch.tensor([3.0, 1.0, -2.0]), skeleton)
    same = [column for column in range(3, 29) if ANGLES[column] != "pelvis_rotation"]
    torch.testing.assert_close(one[:, same], other[:, same], atol=1e-4, rtol=0)
    turn = one[:, 5] - other[:, 5] - 2.0
    assert turn.sin().abs().max() < 1e-4 and turn.cos().min() > 0, "to the left, equal but for whole turns"


@BOTH
def test_size_changes_only_the_position(skeleton: Skeleton) -> None:
    one, other = angles(bodies(skeleton), skeleton), angles(3 * bodies(skeleton), skeleton)
    torch.testing.assert_close(one[:, 3:], other[:, 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(3 * one[:, :3], other[:, :3])


@BOTH
def test_the_mirror_swaps_sides_and_signs(skeleton: Skeleton) -> None:
    joints = bodies(skeleton)
    mirrored = joints[:, list(skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    expected = angles(joints, skeleton)[:, list(MIRROR)] * torch.tensor(MIRROR_SIGN)
    torch.testing.assert_close(angles(mirrored, skeleton), expected, atol=1e-5, rtol=0)


def test_pelvis_angles_are_euler_angles_zxy_of_the_rows_front_up_right() -> None:
    """Against roma's: a frame whose pelvis stands on its hips gives its rows directly."""
    rows = roma.random_rotmat(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    back = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    _, up, right = (rows @ back.mT).unbind(dim=-2)  # front, up, right to x, y, z
    joints = torch.zeros(20, 22, 3, dtype=torch.float64)
    joints[:, 0], joints[:, 2], joints[:, 1] = up, right, -right
    expected = roma.rotmat_to_euler("ZXY", rows)
    difference = angles(joints, SMPL22)[:, 3:6] - expected
    assert (difference.sin().abs() < 1e-5).all() and (difference.cos() > 0).all(), "equal but for whole turns"


def test_turning_round_and_round_counts_on_in_steps_as_large_as_the_true_ones() -> None:
    step = 2 * math.pi / 30
    spin = torch.cat([turned(body(), "Y", 3.0 + step * frame) for frame in range(91)])  # three turns to the left
    rotation = angles(spin, SMPL22)[:, ANGLES.index("pelvis_rotation")]
    torch.testing.assert_close(rotation.diff(), torch.full((90,), -step), atol=1e-5, rtol=0)
    assert math.isclose(rotation[0].item(), -3.0, abs_tol=1e-5)


def test_a_swing_over_the_head_and_a_handstand_have_no_jump() -> None:
    places = torch.linspace(-math.pi / 3, 7 * math.pi / 6, 40)
    swing = body().repeat(40, 1, 1)
    for joint, length in (("right_elbow", 0.3), ("right_wrist", 0.55)):
        arm = torch.stack((torch.zeros(40), -places.cos(), places.sin()), dim=-1)
        swing[:, SMPL22.joints.index(joint)] = torch.tensor(place("right_shoulder")) + length * arm
    flexion = angles(swing, SMPL22)[:, ANGLES.index("right_shoulder_flexion")]
    torch.testing.assert_close(flexion, places, atol=1e-5, rtol=0)

    handstand = torch.cat([turned(body(), "X", math.pi + sway) for sway in (-0.2, -0.1, 0.1, 0.2)])
    tilt = angles(handstand, SMPL22)[:, ANGLES.index("pelvis_tilt")]
    torch.testing.assert_close(tilt, math.pi + torch.tensor([-0.2, -0.1, 0.1, 0.2]), atol=1e-5, rtol=0)


def test_equal_poses_have_equal_angles_whatever_came_before() -> None:
    """But for the rotation of the pelvis: here an arm goes round sideways, which has no one flexion on its way."""
    circle = torch.linspace(0, 2 * math.pi, 41)
    joints = body().repeat(41, 1, 1)
    arm = torch.stack((circle.sin(), -circle.cos(), torch.full((41,), 0.02)), dim=-1)
    joints[:, SMPL22.joints.index("left_elbow")] = torch.tensor(place("left_shoulder")) + 0.3 * arm
    rows = angles(joints, SMPL22)
    torch.testing.assert_close(rows[0], rows[-1], atol=1e-4, rtol=0)
    for frame in (0, 10, 23):
        torch.testing.assert_close(rows[frame], angles(joints[frame : frame + 1], SMPL22)[0])


def without(*names: str) -> Callable[[Tensor], Tensor]:
    """Puts joints onto their parents."""

    def collapse(joints: Tensor) -> Tensor:
        for name in names:
            number = SMPL22.joints.index(name)
            joints[:, number] = joints[:, SMPL22.parents[number]]
        return joints

    return collapse


@pytest.mark.parametrize(
    "damage",
    [
        torch.zeros_like,
        torch.ones_like,
        lambda joints: joints * torch.tensor([1.0, 0.0, 0.0]),
        lambda joints: joints * torch.tensor([0.0, 1.0, 0.0]),
        without("left_hip", "right_hip"),
        without("right_hip", "right_knee", "right_ankle", "right_foot"),
        without("left_shoulder", "left_elbow", "left_wrist", "head"),
        lambda joints: torch.where(torch.rand(joints.shape[:2]).lt(0.5)[..., None], 0.0, joints),
        lambda joints: 1e-20 * joints,
        lambda joints: 1e10 * joints,
    ],
)
def test_bodies_without_limbs_have_finite_angles(damage: Callable[[Tensor], Tensor]) -> None:
    assert angles(damage(bodies(SMPL22)), SMPL22).isfinite().all()


@BOTH
def test_a_pelvis_between_the_hips_takes_the_trunk_for_up(skeleton: Skeleton) -> None:
    name = "pelvis" if skeleton is SMPL22 else "spine1"
    joints = body(skeleton, **{name: (0.0, -0.1, 0.0)})
    assert told(joints, skeleton) == {}


def test_kit_has_its_pelvis_above_the_root() -> None:
    moved = body(MMM21, pelvis=(0.3, 0.1, -0.2))
    assert torch.equal(angles(moved, MMM21), angles(body(MMM21), MMM21)), "the root is in no angle"


@BOTH
@pytest.mark.parametrize("name", ["left_knee", "right_ankle", "left_foot", "right_elbow", "left_wrist", "head"])
def test_moving_a_joint_changes_just_the_columns_that_tell_about_it(skeleton: Skeleton, name: str) -> None:
    """Pelvis, hips, shoulders and neck are left out: they turn the frames in which limbs are seen."""
    joint = skeleton.joints.index(name)
    joints = bodies(skeleton)
    moved = joints.clone()
    moved[:, joint] += 0.3
    changed = ((angles(moved, skeleton) - angles(joints, skeleton)).abs() > 1e-6).any(dim=0)
    assert torch.equal(changed, column_joints(skeleton)[:, joint])


@BOTH
def test_angles_are_a_kind_of_features_with_a_row_per_frame(skeleton: Skeleton) -> None:
    joints = bodies(skeleton, frames=7)
    rows = compute("angles", joints, skeleton, 20)
    assert rows.shape == (7, columns("angles", skeleton)) == (7, 29) and rows.dtype == torch.float32
    depends = column_map("angles", skeleton)
    assert depends.joints.any(dim=1).all() and not depends.next_frame.any()
    torch.testing.assert_close(angles(torch.stack((joints, joints)), skeleton)[1], rows)


def test_angles_do_not_give_joints_back() -> None:
    with pytest.raises(ValueError, match=r"angles do not tell where the joints are; .*--features joints angles"):
        joints_from("angles", torch.zeros(3, 29), SMPL22)


def test_a_store_of_angles_trains(synthetic: Path, fit: Callable[..., Path], tmp_path: Path) -> None:
    from motionlang_pl.cli import main

    raw = synthetic.parent / "humanml3d_raw"
    store = tmp_path / "angles"
    main(["prepare", "humanml3d", "--raw", str(raw), "--out", str(store), "--features", "angles"])
    run = fit("mmp", store, tmp_path / "runs", "--data.features=angles", "--trainer.max_steps=2")
    assert (run / "best.ckpt").is_file()


@pytest.mark.real
def test_real_motion_has_possible_angles() -> None:
    """Knees and elbows do not pass 170 degrees, and a trunk leans and turns by less than 120."""
    for file in sorted((REAL / "cmu_hml3d" / "new_joints").glob("*.npy"))[:20]:
        rows = angles(torch.from_numpy(np.load(file)), SMPL22)
        assert rows.isfinite().all()
        bent = rows[
            :, [ANGLES.index(f"{side}_{joint}_flexion") for side in ("left", "right") for joint in ("knee", "elbow")]
        ]
        assert bent.min() >= 0 and bent.max() < math.radians(170)
        assert rows[:, PARTS["lumbar"]].abs().max() < math.radians(120)
