import pytest

from motionlang_pl.motion.skeleton import MMM21, SMPL22, skeleton


@pytest.mark.parametrize("body", [SMPL22, MMM21])
def test_parents_come_before_children_and_every_joint_is_in_one_part(body) -> None:
    count = len(body.joints)
    assert len(body.parents) == len(body.offsets) == len(body.mirror) == count == len(set(body.joints))
    assert all(parent < child for child, parent in enumerate(body.parents))
    assert set(body.parts) == {"torso", "left_leg", "right_leg", "left_arm", "right_arm"}
    assert sorted(joint for part in body.parts.values() for joint in part) == list(range(count))


@pytest.mark.parametrize("body", [SMPL22, MMM21])
def test_the_mirror_of_a_body_is_the_same_body(body) -> None:
    for joint, twin in enumerate(body.mirror):
        assert body.mirror[twin] == joint
        assert body.joints[twin] == body.joints[joint].replace("left", "L").replace("right", "left").replace(
            "L", "right"
        )
        x, y, z = body.offsets[twin]
        assert body.offsets[joint] == (-x, y, z)


@pytest.mark.parametrize("body", [SMPL22, MMM21])
def test_adjacency_holds_each_bone_in_both_directions_and_no_self_loop(body) -> None:
    bones = body.adjacency()
    assert bones.sum() == 2 * (len(body.joints) - 1)
    assert (bones == bones.T).all() and not bones.diagonal().any()


def test_an_unknown_skeleton_is_an_error_that_lists_the_known_ones() -> None:
    assert skeleton("mmm21") is MMM21
    with pytest.raises(ValueError, match=r"'smpl24'.*smpl22, mmm21"):
        skeleton("smpl24")
