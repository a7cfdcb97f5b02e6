"""Origins: every way to write a recording's file gives one name."""

from __future__ import annotations

import pytest

from motionlang_pl.data.origins import dataset_name, origin, other_names


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("KIT/3/kick_high_left02_poses.npz", "KIT/3/kick_high_left02"),  # AMASS, SMPL-H
        ("KIT/3/kick_high_left02_stageii.npz", "KIT/3/kick_high_left02"),  # AMASS, SMPL-X
        ("./pose_data/KIT/3/kick_high_left02_poses.npy", "KIT/3/kick_high_left02"),  # HumanML3D's index.csv
        ("KIT/3/kick_high_left02_poses", "KIT/3/kick_high_left02"),  # the unified annotations
        ("KIT/KIT/3/kick_high_left02_poses.npz", "KIT/3/kick_high_left02"),  # BABEL
        ("BML/rub001/0000_treadmill_norm_poses.npz", "BMLrub/rub001/0000_treadmill_norm"),  # AMASS's first split lists
        ("BMLrub/BioMotionLab_NTroje/rub001/0000_treadmill_norm_poses.npz", "BMLrub/rub001/0000_treadmill_norm"),
        ("Transitionsmocap/Transitions_mocap/mazen_c3d/jump_poses.npz", "Transitions/mazen_c3d/jump"),
        ("ACCAD\\Female1General_c3d\\A1 - Stand_poses.npz", "ACCAD/Female1General_c3d/A1_-_Stand"),
        ("./pose_data/humanact12/humanact12/P11G01R02F1812T1847A0402.npy", "humanact12/P11G01R02F1812T1847A0402"),
    ],
)
def test_every_way_to_write_a_recording_gives_one_name(written, name):
    assert origin(written) == name


@pytest.mark.parametrize("written", ["", ".", "/", "./pose_data/"])
def test_a_path_without_a_file_has_no_origin(written):
    assert origin(written) == ""


def test_a_data_set_has_one_present_name_and_all_its_others_lead_to_it():
    assert other_names("MPI_HDM05") == ["HDM05", "MPIHDM05"] and other_names("KIT") == []
    assert {dataset_name(name) for name in ("SSM", *other_names("SSM"))} == {"SSM"}
