"""Against HumanML3D's one released sample and clips that an independent implementation wrote."""

from pathlib import Path

import numpy as np
import pytest
import torch

from motionlang_pl.motion.features import humanml3d, joints_from_humanml3d
from motionlang_pl.motion.humanml3d import motion_before

DATA = Path(__file__).parents[3] / "shared" / "data"
SAMPLE = DATA / "text_only" / "humanml3d"
# The rounded errors of an independent implementation on this sample are the tolerances.
BLOCKS = {
    "yaw velocity": (slice(0, 1), 3.05e-4),
    "root velocity": (slice(1, 3), 1.45e-4),
    "root height": (slice(3, 4), 1e-6),
    "positions": (slice(4, 67), 6.85e-3),
    "rotations": (slice(67, 193), 1.35e-2),
    "velocities": (slice(193, 259), 4.15e-4),
    "contacts": (slice(259, 263), 0.0),
}
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE} is not there"),
]


def _load(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(path, allow_pickle=False))


def test_joints_of_the_released_sample_come_back_from_its_columns() -> None:
    joints, features = _load(SAMPLE / "012314_joints.npy"), _load(SAMPLE / "012314_vecs.npy")
    assert (joints_from_humanml3d(features) - joints).abs().max() < 1e-6


def test_columns_of_the_released_sample_are_reproduced() -> None:
    """The released joints lack the clip's last frame, which smoothing carries into the last four seconds."""
    features = humanml3d(_load(SAMPLE / "012314_joints.npy"))
    error = (features - _load(SAMPLE / "012314_vecs.npy")[:-1]).abs()
    assert error[:89].max() < 1e-5
    for name, (block, tolerance) in BLOCKS.items():
        assert error[:, block].max() <= tolerance, name


def test_all_columns_of_the_released_sample_are_reproduced_with_the_frame_that_its_joints_lack() -> None:
    joints, features = _load(SAMPLE / "012314_joints.npy"), _load(SAMPLE / "012314_vecs.npy")
    whole = torch.cat((joints.double(), motion_before(features)[-1:]))
    assert (humanml3d(whole) - features).abs().max() < 1e-5


@pytest.mark.parametrize("name", sorted(file.stem for file in (DATA / "cmu_hml3d" / "new_joints").glob("*.npy")))
def test_all_columns_of_other_real_clips_are_reproduced_from_the_motion_before_them(name: str) -> None:
    features = _load(DATA / "cmu_hml3d" / "new_joint_vecs" / f"{name}.npy")
    assert (humanml3d(motion_before(features)) - features).abs().max() < 2e-5


@pytest.mark.parametrize("name", ["000218", "004041", "007219", "010498"])
def test_columns_of_other_real_clips_are_reproduced_where_smoothing_sees_all_frames(name: str) -> None:
    joints = _load(DATA / "cmu_hml3d" / "new_joints" / f"{name}.npy")
    features = _load(DATA / "cmu_hml3d" / "new_joint_vecs" / f"{name}.npy")
    reach = len(joints) - 82
    assert (humanml3d(joints) - features[:-1])[:reach].abs().max() < 1e-5
    assert (joints_from_humanml3d(features) - joints).abs().max() < 1e-6


@pytest.mark.parametrize(("name", "row"), [("003007", 46), ("007915", 43), ("008311", 47), ("012388", 73)])
def test_the_published_yaw_velocity_has_the_wrong_sign_where_the_heading_passes_backwards(name: str, row: int) -> None:
    features = _load(DATA / "cmu_hml3d" / "new_joint_vecs" / f"{name}.npy")
    corrected = features.clone()
    corrected[row, 0] *= -1
    joints = joints_from_humanml3d(corrected)  # as recorded, without the kink that the sign puts in
    assert (humanml3d(joints) - features[:-1])[: len(joints) - 82].abs().max() < 1e-5
