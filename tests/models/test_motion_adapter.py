from __future__ import annotations

import pytest
import torch

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.motion_adapter import MotionAdapter
from motionlang_pl.motion.features import columns
from motionlang_pl.motion.skeleton import SMPL22

JOINTS = len(SMPL22.joints)


def adapter(kind: str = "joints", width: int = 16) -> MotionAdapter:
    size = columns(kind, SMPL22)
    torch.manual_seed(0)
    return MotionAdapter(MotionSpec(kind, "smpl22", 20.0, torch.full((size,), 2.0), torch.full((size,), 4.0)), width)


def test_standardising_uses_the_stores_mean_and_deviation():
    assert torch.equal(adapter().standardise(torch.full((1, 2, 66), 10.0)), torch.full((1, 2, 66), 2.0))


def test_a_column_that_never_changed_in_training_is_not_blown_up():
    spec = MotionSpec("joints", "smpl22", 20.0, torch.ones(66), torch.zeros(66))
    assert torch.equal(MotionAdapter(spec, 4).standardise(torch.full((1, 1, 66), 1.5)), torch.full((1, 1, 66), 0.5))


def test_a_hidden_joint_hides_its_own_columns_of_that_frame():
    hidden = torch.zeros(1, 4, JOINTS, dtype=torch.bool)
    hidden[0, 2, 5] = True
    assert adapter().hidden_columns(hidden).nonzero().tolist() == [[0, 2, 15], [0, 2, 16], [0, 2, 17]]


def test_a_hidden_frame_hides_the_velocity_of_the_frame_before():
    hidden = torch.zeros(1, 4, JOINTS, dtype=torch.bool)
    hidden[0, 2] = True
    columns = adapter("humanml3d").hidden_columns(hidden)
    assert columns[0, 2].all() and not columns[0, 0].any() and not columns[0, 3].any()
    before = columns[0, 1]
    assert before[:3].all() and not before[3] and not before[4:193].any() and before[193:].all()


def test_what_is_hidden_does_not_reach_the_trunk():
    module = adapter()
    hidden = torch.zeros(2, 6, JOINTS, dtype=torch.bool)
    hidden[:, 2:4, 3:9] = True
    features = torch.randn(2, 6, 66)
    other = torch.where(module.hidden_columns(hidden), torch.randn(2, 6, 66), features)
    mask = torch.ones(2, 6, dtype=torch.bool)
    noise = torch.randn(2, 6, 66)
    for fill in (None, noise):
        assert torch.equal(module(Motion(features, mask), hidden, fill), module(Motion(other, mask), hidden, fill))
    assert not torch.allclose(module(Motion(features, mask), hidden), module(Motion(features, mask), hidden, noise))


def test_the_trunk_is_told_what_is_hidden():
    module, mask = adapter(), torch.ones(1, 2, dtype=torch.bool)
    hidden = torch.zeros(1, 2, JOINTS, dtype=torch.bool)
    mean_pose = Motion(torch.full((1, 2, 66), 2.0), mask)
    plain = module(mean_pose)
    assert torch.equal(module(mean_pose, hidden), plain)
    hidden[0, 1, 7] = True
    told = module(mean_pose, hidden)
    assert torch.equal(told[0, 0], plain[0, 0]) and not torch.allclose(told[0, 1], plain[0, 1])


def test_noise_leaves_the_trunk_untold():
    module, mask = adapter(), torch.ones(1, 2, dtype=torch.bool)
    hidden = torch.zeros(1, 2, JOINTS, dtype=torch.bool)
    hidden[0, 1] = True
    noisy = module(Motion(torch.full((1, 2, 66), 2.0), mask), hidden, torch.full((1, 2, 66), 3.0))
    same = module(Motion(torch.tensor([2.0, 14.0])[None, :, None].expand(1, 2, 66), mask))
    assert torch.equal(noisy, same)


def test_the_state_holds_what_a_hand_over_needs():
    module = adapter()
    assert set(module.state_dict()) == {
        *("mean", "std", "hidden.weight"),
        *("input.weight", "input.bias", "output.weight", "output.bias"),
    }
    assert (module.kind, module.skeleton, module.fps) == ("joints", "smpl22", 20.0)
    module.freeze_pretraining()
    assert [name for name, p in module.named_parameters() if p.requires_grad] == ["input.weight", "input.bias"]
    assert module.reconstruct(torch.zeros(2, 3, 16)).shape == (2, 3, 66)


def test_statistics_of_another_width_are_refused():
    with pytest.raises(ValueError, match="joints of smpl22 has 66 columns, the store's mean 63"):
        MotionAdapter(MotionSpec("joints", "smpl22", 20.0, torch.zeros(63), torch.ones(63)), 8)
