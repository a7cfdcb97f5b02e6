from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from raw_folder import joints, write_amass

from motionlang_pl.cli import main
from motionlang_pl.data.sources.crops import Crop, read_crops, source
from motionlang_pl.data.sources.synthetic import annotations as synthetic_annotations
from motionlang_pl.data.sources.synthetic import clips as synthetic
from motionlang_pl.data.store import Store
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.retarget import retarget
from motionlang_pl.motion.skeleton import SMPL22

REAL = Path(__file__).parents[3] / "shared" / "data"
WHOLE = "a person walks.#a/DET person/NOUN walk/VERB#0.0#0.0"
WALK = "./pose_data/KIT/3/walk_poses.npy"


@pytest.fixture
def amass(tmp_path: Path) -> Path:
    """Three recordings of other rates as a store at 20 fps: a walk of 4 s, one with 3 s to cut off, SSM's odd rate."""
    write_amass(tmp_path / "raw/KIT/3/walk_poses.npz", 400, fps=100.0)
    write_amass(tmp_path / "raw/MPI_HDM05/dg/dance_poses.npz", 600, fps=120.0)
    write_amass(tmp_path / "raw/SSM_synced/2016_33/punch_poses.npz", 240, fps=59.9999885559082)
    main(["prepare", "amass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "amass"), "--fps", "20"])
    return tmp_path / "amass"


def prepare(tmp_path: Path, amass: Path, rows: list[str], texts: dict[str, str], *more: str) -> Store:
    for folder in ("texts", "splits"):
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "index.csv").write_text("\n".join(["source_path,start_frame,end_frame,new_name", *rows]))
    for name, text in texts.items():
        (tmp_path / "texts" / f"{name}.txt").write_text(text)
    (tmp_path / "splits" / "train.txt").write_text("\n".join(texts))
    folders = [f"--{name}={tmp_path / name}" for name in ("texts", "splits")]
    files = [f"--index={tmp_path / 'index.csv'}", f"--amass={amass}", f"--out={tmp_path / 'store'}"]
    main(["prepare", "index", *files, *folders, *more])
    return Store.open(tmp_path / "store")


def published(recording: torch.Tensor) -> np.ndarray:
    """HumanML3D's processing of raw joints (T, 22, 3)."""
    return canonical(retarget(recording.double(), SMPL22)).float().numpy()  # type: ignore[no-any-return]


def rows_of(store: Store, name: str) -> np.ndarray:
    clip = list(store.clips.ids).index(name)
    return store.read("joints", clip, 0, int(store.clips.rows[clip])).reshape(-1, 22, 3)


def test_rows_are_those_frames_of_the_recording(tmp_path: Path, amass: Path) -> None:
    store = prepare(tmp_path, amass, [f"{WALK},10,50,000001.npy"], {"000001": WHOLE, "M000001": WHOLE})
    recordings = Store.open(amass)
    clip = list(recordings.clips.origin).index("KIT/3/walk")
    frames = torch.from_numpy(recordings.read("joints", clip, 10, 50).reshape(40, 22, 3))
    np.testing.assert_allclose(rows_of(store, "000001"), published(frames), atol=1e-6)
    mirrored = frames[:, list(SMPL22.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(rows_of(store, "M000001"), published(mirrored), atol=1e-6)
    assert store.clips.mirrored.tolist() == [False, True] and list(store.clips.origin) == ["KIT/3/walk"] * 2
    assert store.valid_rows("humanml3d").tolist() == [39, 39]  # as many as the released clip has


def test_frames_off_the_beginning_come_before_the_crop(tmp_path: Path, amass: Path) -> None:
    rows = ["./pose_data/MPI_HDM05/dg/dance_poses.npy,10,30,000001.npy"]
    store = prepare(tmp_path, amass, rows, {"000001": WHOLE})
    recordings = Store.open(amass)
    clip = list(recordings.clips.origin).index("HDM05/dg/dance")
    frames = torch.from_numpy(recordings.read("joints", clip, 70, 90).reshape(20, 22, 3))
    np.testing.assert_allclose(rows_of(store, "000001"), published(frames), atol=1e-6)


@pytest.mark.parametrize(
    ("path", "fps", "seconds"),
    [
        ("./pose_data/KIT/3/walk_poses.npy", 100.0, (0.5, 2.0)),
        ("./pose_data/Eyes_Japan_Dataset/hamada/accident-01-dodge-hamada_poses.npy", 120.0, (3.5, 5.0)),
        ("./pose_data/MPI_HDM05/dg/HDM_dg_01-01_01_120_poses.npy", 120.0, (3.5, 5.0)),
        ("./pose_data/TotalCapture/s1/acting1_poses.npy", 60.0, (1.5, 3.0)),
        ("./pose_data/MPI_Limits/03099/op2_poses.npy", 120.0, (1.5, 3.0)),
        ("./pose_data/Transitions_mocap/mazen_c3d/airkick_jumpinplace_poses.npy", 120.0, (1.0, 2.5)),
    ],
)
def test_the_published_trims_are_kept(path: str, fps: float, seconds: tuple[float, float]) -> None:
    assert Crop(path, 10, 40).seconds(fps) == (*seconds, 1.0)


def test_an_odd_frame_rate_is_read_as_the_index_counted_it(tmp_path: Path, amass: Path) -> None:
    rows = ["./pose_data/SSM_synced/2016_33/punch_poses.npy,30,90,000001.npy"]
    text = "he punches.#he/PRON punch/VERB#0.0#0.0\nhe stops.#he/PRON stop/VERB#1.5#3.0\n"
    store = prepare(tmp_path, amass, rows, {"000001": text})
    assert store.clips.rows.tolist() == [40]  # 60 frames of every second one at 60 fps are 2 s
    spans = [(store.annotations.start[row], store.annotations.end[row]) for row in (0, 1)]
    np.testing.assert_allclose(spans, [(0.0, 2.0), (1.0, 2.0)], atol=1e-6)


def test_humanact12_is_optional(tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]) -> None:
    act = "./pose_data/humanact12/humanact12/P01G01R01F0069T0143A0102.npy,0,-1,000002.npy"
    rows, texts = [f"{WALK},0,80,000001.npy", act], {"000001": WHOLE, "000002": WHOLE, "M000002": WHOLE}
    store = prepare(tmp_path, amass, rows, texts)
    assert list(store.clips.ids) == ["000001"] and store.meta["options"]["left out"] == {"HumanAct12": 2}
    assert "2 clips of HumanAct12 left out (--humanact12 DIR adds them)" in capsys.readouterr().err
    store.path.rename(tmp_path / "without")
    body = joints(50, 3)
    (tmp_path / "acts").mkdir()
    hands = np.concatenate([body, body[:, 20:22]], axis=1)
    np.save(tmp_path / "acts" / "P01G01R01F0069T0143A0102.npy", hands)
    store = prepare(tmp_path, amass, rows, texts, "--humanact12", str(tmp_path / "acts"))
    np.testing.assert_allclose(rows_of(store, "000002"), published(torch.from_numpy(body)), atol=1e-6)
    assert store.clips.mirrored.tolist() == [False, False, True] and len(rows_of(store, "M000002")) == 50


def test_what_is_missing_is_named_before_any_work_and_data_sets_once(
    tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number:06d}" for number in range(6)]
    rows = [f"./pose_data/BMLmovi/Subject_{name}/walk_poses.npy,0,40,{name}.npy" for name in names[:3]]
    rows += [f"./pose_data/KIT/3/lost_poses.npy,0,40,{names[3]}.npy", f"{WALK},60,100,{names[4]}.npy"]
    rows += [f"{WALK},60,83,{names[5]}.npy"]
    with pytest.raises(SystemExit, match="4 of the inputs are missing"):
        prepare(tmp_path, amass, rows, dict.fromkeys([*names, "000099"], WHOLE))
    lines = capsys.readouterr().err.splitlines()
    assert "missing BMLmovi: AMASS's data set BMLmovi is not in the store, and 3 clips need it" in lines
    assert "missing 000004: ends at 5 s, its recording KIT/3/walk (100 fps) ends at 4 s" in lines
    assert not (tmp_path / ".store.partial").exists()
    store = prepare(tmp_path, amass, rows, dict.fromkeys([*names, "000099"], WHOLE), "--allow-skips")
    assert list(store.clips.ids) == ["000005"] and store.clips.rows.tolist() == [20]
    assert "1 clips end with their recording" in capsys.readouterr().err


def test_a_clip_that_starts_after_its_recording_is_named(
    tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1 of the inputs are missing"):
        prepare(tmp_path, amass, [f"{WALK},100,-1,000001.npy"], {"000001": WHOLE})
    assert "missing 000001: starts at 5 s, its recording KIT/3/walk (100 fps) ends at 4 s" in capsys.readouterr().err


def test_rows_that_hold_no_frame_or_name_no_recording_are_named(
    tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{WALK},-5,20,000001.npy", f"{WALK},20,10,000002.npy", ",0,20,000003.npy"]
    with pytest.raises(SystemExit, match="3 of the inputs are missing"):
        prepare(tmp_path, amass, rows, dict.fromkeys(["000001", "000002", "000003"], WHOLE))
    lines = capsys.readouterr().err.splitlines()
    assert {"missing 000003: names no recording", "missing 000001: has no frame from -5 to 20"} <= set(lines)


def test_humanact12_with_y_down_is_refused(tmp_path: Path, amass: Path) -> None:
    act = "./pose_data/humanact12/humanact12/P01G01R01F0069T0143A0102.npy,0,-1,000002.npy"
    (tmp_path / "acts").mkdir()
    body = joints(50, 3) * np.array([1.0, -1.0, -1.0], dtype=np.float32)
    np.save(tmp_path / "acts" / "P01G01R01F0069T0143A0102.npy", np.concatenate([body, body[:, 20:22]], axis=1))
    with pytest.raises(SystemExit, match=r"P01G01R01F0069T0143A0102\.npy: its head is below its feet"):
        prepare(tmp_path, amass, [act], {"000002": WHOLE}, "--humanact12", str(tmp_path / "acts"))


def test_an_unreadable_text_is_named(tmp_path: Path, amass: Path) -> None:
    rows, texts = [f"{WALK},0,40,000001.npy"], {"000001": "no fields"}
    with pytest.raises(SystemExit, match=r"texts/000001\.txt: line 1: has 1 fields"):
        prepare(tmp_path, amass, rows, texts)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("id,file\n1,2\n")
    with pytest.raises(ValueError, match="not HumanML3D's index"):
        read_crops(tmp_path / "index.csv")


def test_humanml3d_is_the_same_set_whether_written_or_cut_out_of_amass(tmp_path: Path) -> None:
    clips = 10
    synthetic.write_amass(tmp_path / "raw", clips, 0)
    synthetic.write_humanml3d(tmp_path / "humanml3d", clips, 0)
    synthetic_annotations.write_index(tmp_path / "index", clips, 0)
    main(["prepare", "amass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "amass"), "--fps", "20"])
    folder = tmp_path / "index"
    files = [f"--index={folder / 'index.csv'}", f"--texts={folder / 'texts'}", f"--splits={folder / 'splits'}"]
    main(["prepare", "index", *files, f"--amass={tmp_path / 'amass'}", f"--out={tmp_path / 'store'}"])
    main(["prepare", "humanml3d", f"--raw={tmp_path / 'humanml3d'}", f"--out={tmp_path / 'other'}"])
    store, other = Store.open(tmp_path / "store"), Store.open(tmp_path / "other")
    assert not store.meta["skipped"] and store.clips.mirrored.sum() == clips
    for clip in synthetic.plan(clips, 0):
        name = f"{clip.number:06d}"
        rows = rows_of(store, name)
        place = list(store.clips.source).index(synthetic_annotations.index_path(clip))
        rate = float(store.clips.source_fps[place])
        # The same performance on the neutral body at the recording's rate, every n-th frame: what AMASS holds.
        take = synthetic.perform(clip, rate, 0)
        step = int(rate / 20)
        there = forward_kinematics(take.local[::step], take.root[::step], SMPL22)[: len(rows)]
        assert len(there) == len(rows)
        np.testing.assert_allclose(rows, published(there), atol=1e-4)
        # HumanML3D's folder holds it on the actor's own body, and softened at 20 fps: the same pose within 5 cm.
        written = published(torch.from_numpy(np.load(tmp_path / "humanml3d" / "new_joints" / f"{name}.npy")))
        pose, wanted = (motion[: len(rows)] - motion[: len(rows), :1] for motion in (rows, written))
        np.testing.assert_allclose(pose, wanted[: len(pose)], atol=0.05)
    texts = [set(one.annotations.text[row] for row in one.annotations.rows("train")) for one in (store, other)]
    assert texts[1] <= texts[0]


@pytest.mark.real
def test_each_row_of_the_released_index_is_a_recording(tmp_path: Path, amass: Path) -> None:
    folder = REAL / "text_only" / "humanml3d"
    crops = read_crops(folder / "index.csv")
    names = Counter(crop.dataset for crop in crops.values())
    assert len(crops) == 14616 and names == {
        **{"KIT": 4648, "CMU": 2913, "BMLmovi": 1839, "EyesJapanDataset": 1465, "humanact12": 1191, "HDM05": 771},
        **{"BMLrub": 373, "EKUT": 351, "ACCAD": 277, "DFaust": 135, "PosePrior": 132, "MoSh": 122, "Transitions": 110},
        **{"TotalCapture": 74, "SFU": 68, "BMLhandball": 67, "HumanEva": 50, "SSM": 30},
    }
    assert all((crop.end == -1) == (crop.dataset == "humanact12") for crop in crops.values())
    (tmp_path / "texts").mkdir()
    (tmp_path / "lists").mkdir()
    for split in ("train", "val", "test"):
        (tmp_path / "lists" / f"{split}.txt").write_text((folder / f"{split}.txt").read_text())
    found = source(folder / "index.csv", amass, tmp_path / "texts", tmp_path / "lists", ["joints"])
    whole = {skip.file: skip.reason for skip in found.skips if "data set" in skip.reason}
    assert len(whole) == 14 and "BMLrub (BML or BioMotionLab_NTroje)" in whole["BMLrub"]
    assert "746 clips need it" in whole["BMLrub"] and found.options["left out"] == {"HumanAct12": 2 * 1191}
    assert json.dumps(found.options)
