"""Mirrored rows are the rows of the mirrored motion."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bodies import mirrored, wandering

from motionlang_pl.motion.features import column_map, columns, compute, humanml3d
from motionlang_pl.motion.mirror import mirror_columns
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

KINDS = [
    *((kind, SMPL22) for kind in ("joints", "smpl_rot6d", "ik_rot6d", "humanml3d", "angles")),
    *((kind, MMM21) for kind in ("joints", "kitml", "angles")),
]
COMPUTED = [(kind, skeleton) for kind, skeleton in KINDS if kind != "smpl_rot6d"]
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "text_only" / "humanml3d" / "012314_joints.npy"


@pytest.mark.parametrize(("kind", "skeleton"), KINDS)
def test_mirroring_twice_changes_nothing(kind: str, skeleton: Skeleton) -> None:
    source, sign = mirror_columns(kind, skeleton)
    assert source.shape == sign.shape == (columns(kind, skeleton),)
    assert source.dtype == torch.int64 and sign.dtype == torch.float32
    assert torch.equal(source[source], torch.arange(len(source)))
    assert (sign * sign[source]).eq(1).all()


@pytest.mark.parametrize(("kind", "skeleton"), KINDS)
def test_a_mirrored_column_tells_about_the_twins_of_its_joints(kind: str, skeleton: Skeleton) -> None:
    told = column_map(kind, skeleton)
    source = mirror_columns(kind, skeleton).source
    assert torch.equal(told.joints[source], told.joints[:, list(skeleton.mirror)])
    assert torch.equal(told.next_frame[source], told.next_frame)


@pytest.mark.parametrize(("kind", "skeleton"), COMPUTED)
@pytest.mark.parametrize("seed", range(3))
def test_mirrored_rows_are_those_of_the_mirrored_motion(kind: str, skeleton: Skeleton, seed: int) -> None:
    """Also where the published yaw velocity has the wrong sign: the motion passes -z."""
    joints = wandering(skeleton, 250, turn=0.03, seed=seed)
    joints = joints + 0.05 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(seed))
    fps = 12.5 if kind == "kitml" else 20.0
    source, sign = mirror_columns(kind, skeleton)
    rows = compute(kind, joints, skeleton, fps)
    torch.testing.assert_close(
        compute(kind, mirrored(joints, skeleton), skeleton, fps), rows[:, source] * sign, atol=1e-6, rtol=0
    )


def test_a_raised_left_hand_becomes_a_raised_right_hand() -> None:
    left, right = SMPL22.joints.index("left_wrist"), SMPL22.joints.index("right_wrist")
    row = torch.zeros(66)
    row[3 * left : 3 * left + 3] = torch.tensor([0.6, 1.8, 0.1])
    source, sign = mirror_columns("joints", SMPL22)
    twin = (row[source] * sign).view(22, 3)
    assert twin[right].tolist() == pytest.approx([-0.6, 1.8, 0.1]) and twin[left].abs().max() == 0


@pytest.mark.real
@pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE} is not there")
@pytest.mark.parametrize("kind", ["joints", "ik_rot6d", "humanml3d", "angles"])
def test_the_real_sample_mirrors(kind: str) -> None:
    joints = torch.from_numpy(np.load(SAMPLE, allow_pickle=False))
    source, sign = mirror_columns(kind, SMPL22)
    rows = compute(kind, joints, SMPL22, 20.0)
    torch.testing.assert_close(
        compute(kind, mirrored(joints, SMPL22), SMPL22, 20.0), rows[:, source] * sign, atol=1e-6, rtol=0
    )


@pytest.mark.real
@pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE} is not there")
def test_the_released_columns_of_the_real_sample_mirror() -> None:
    released = torch.from_numpy(np.load(SAMPLE.parent / "012314_vecs.npy", allow_pickle=False))
    joints = mirrored(torch.from_numpy(np.load(SAMPLE, allow_pickle=False)), SMPL22)
    source, sign = mirror_columns("humanml3d", SMPL22)
    assert (humanml3d(joints) - (released[:-1, source] * sign))[:89].abs().max() < 1e-5
