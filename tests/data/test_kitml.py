"""KIT-ML's folders: read as released, told apart from HumanML3D's, and with the recordings that they were cut from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REAL
from raw_folder import write_humanml3d

from motionlang_pl.cli import main
from motionlang_pl.data.dataset import PairSamples
from motionlang_pl.data.loaders import Guo, MoPatch
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.sources.origin_index import origin_of, read_index
from motionlang_pl.data.sources.synthetic.kitml import write_kitml
from motionlang_pl.data.store import Store
from motionlang_pl.motion.features import joints_from
from motionlang_pl.motion.skeleton import MMM21


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kitml") / "raw"
    write_kitml(folder, 10, seed=0)
    return folder


@pytest.fixture(scope="module")
def store(raw: Path) -> Store:
    return prepared(raw, raw.parent / "store", "--features", "joints", "kitml")


def prepared(raw: Path, out: Path, *more: str, command: str = "kitml") -> Store:
    main(["prepare", command, "--raw", str(raw), "--out", str(out), *more])
    return Store.open(out)


def copied(raw: Path, folder: Path, *kept: str) -> Path:
    """A folder of links to some of the raw folder's entries."""
    folder.mkdir()
    for name in kept:
        (folder / name).symlink_to(raw / name)
    return folder


LISTS = ("train.txt", "val.txt", "test.txt")


def test_kitml_is_read_as_released_and_its_joints_in_metres(raw: Path, store: Store) -> None:
    assert (store.fps, store.skeleton, store.kinds) == (12.5, "mmm21", ("joints", "kitml"))
    assert store.meta["options"]["metres_per_unit"] == 0.001
    columns = np.load(raw / "new_joint_vecs" / "00000.npy")
    rows = int(store.clips.rows[store.clips.ids.index("00000")])
    assert columns.shape == (rows, 251) and 400 < columns[0, 3] < 600  # the root's height in millimetres
    clip = store.clips.ids.index("00000")
    np.testing.assert_array_equal(store.read("kitml", clip, 0, rows), columns)
    joints = store.read("joints", clip, 0, rows)
    np.testing.assert_allclose(joints, 0.001 * np.load(raw / "new_joints" / "00000.npy").reshape(rows, 63), rtol=1e-6)
    assert 0.4 < joints[0, 1] < 0.6
    assert store.valid_rows("kitml")[clip] == rows


def test_columns_read_back_to_the_positions_beside_them(store: Store) -> None:
    rows = int(store.clips.rows[0])
    joints = joints_from("kitml", torch.from_numpy(store.read("kitml", 0, 0, rows)), MMM21)
    assert (joints.flatten(1) - torch.from_numpy(store.read("joints", 0, 0, rows))).abs().max() < 1e-5


def test_columns_are_computed_where_the_folder_has_none(raw: Path, store: Store, tmp_path: Path) -> None:
    computed = prepared(copied(raw, tmp_path / "raw", "new_joints", "texts", *LISTS), tmp_path / "store")
    last = int(store.clips.rows[0]) - 1
    assert computed.valid_rows("kitml")[0] == last
    one, other = computed.read("kitml", 0, 0, last), store.read("kitml", 0, 0, last)
    np.testing.assert_allclose(one[:, :64], other[:, :64], atol=3.0)  # root and local positions, in millimetres


def test_mirrored_clips_share_the_recording_of_their_originals(raw: Path, store: Store) -> None:
    assert int(store.clips.mirrored.sum()) == 10 and len(store.clips.ids) == 20
    origins = dict(zip(store.clips.ids, store.clips.origin, strict=True))
    assert origins["00003"].startswith("Synthetic") and not origins["00003"].endswith("_poses")
    assert all(origins[name] == origins[name.removeprefix("M")] for name in origins)
    index = json.loads((raw / "annotations.json").read_text())
    assert index["M00003"]["path"] == f"M/{index['00003']['path']}"


def test_a_mirrored_motion_raises_the_other_hand_and_says_so(raw: Path) -> None:
    words = {name: (raw / "texts" / f"{name}.txt").read_text() for name in ("00003", "M00003")}
    assert words["M00003"] == words["00003"].replace("left", "?").replace("right", "left").replace("?", "right")
    one, twin = (np.load(raw / "new_joints" / f"{name}.npy") for name in words)
    np.testing.assert_allclose(twin, one[:, list(MMM21.mirror)] * [-1, 1, 1], atol=2.0)  # millimetres


@pytest.mark.parametrize(("command", "other"), [("kitml", "humanml3d"), ("humanml3d", "kitml")])
def test_a_folder_of_the_other_set_is_refused_with_the_command_that_fits(
    command: str, other: str, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = raw if other == "kitml" else write_humanml3d(tmp_path / "raw")
    with pytest.raises(SystemExit, match=f"another data set's layout; read it with `motionlang prepare {other}"):
        prepared(folder, tmp_path / "store", "--features", "joints", command=command)
    if other == "kitml":
        with pytest.raises(SystemExit, match="its frames are 251 numbers"):
            prepared(folder, tmp_path / "store", command=command)
    assert not (tmp_path / "store").exists()


def test_positions_in_metres_are_no_kitml(raw: Path, tmp_path: Path) -> None:
    folder = copied(raw, tmp_path / "raw", "texts", *LISTS)
    (folder / "new_joints").mkdir()
    for file in (raw / "new_joints").glob("*.npy"):
        np.save(folder / "new_joints" / file.name, 0.001 * np.load(file))
    with pytest.raises(SystemExit, match=r"its body is 0.000\d+ m high in the first frame; is it written in units of"):
        prepared(folder, tmp_path / "store")


def test_guos_tags_count_at_20_fps_in_kitml_too_and_others_at_its_own(raw: Path, tmp_path: Path) -> None:
    folder = copied(raw, tmp_path / "raw", "new_joints", "new_joint_vecs")
    (folder / "texts").mkdir()
    long = max((raw / "new_joints").glob("0*.npy"), key=lambda file: len(np.load(file, mmap_mode="r")))
    frames = len(np.load(long))
    (folder / "texts" / f"{long.stem}.txt").write_text("a part#a/DET#0.4#2.0\nthe whole#a/DET#0.0#0.0\n")
    (folder / "test.txt").write_text(long.stem)
    store = prepared(folder, tmp_path / "store")

    def rows(loader: Guo | MoPatch) -> dict[str, tuple[int, int]]:
        samples = MotionLanguageData(str(store.path), "kitml", loader=loader).samples("pairs", "test")
        assert isinstance(samples, PairSamples)
        return {samples.sample_id(n): (int(samples.start[n]), int(samples.stop[n])) for n in range(len(samples))}

    assert rows(MoPatch()) == {f"{long.stem}_0.4_2": (5, 25)}
    assert rows(Guo()) == {f"{long.stem}_0.4_2": (8, 40), long.stem: (0, frames)}


def test_an_index_names_the_recordings_of_a_folder(tmp_path: Path) -> None:
    raw = write_humanml3d(tmp_path / "raw")
    rows = ["source_path,start_frame,end_frame,new_name", "./pose_data/BMLrub/rub001/walk_poses.npy,0,60,000001.npy"]
    index = tmp_path / "index.csv"
    index.write_text("\n".join(rows))
    store = prepared(raw, tmp_path / "a", "--features", "joints", "--index", str(index), command="humanml3d")
    origins = dict(zip(store.clips.ids, store.clips.origin, strict=True))
    assert origins["000001"] == origins["M000001"] == "BMLrub/rub001/walk" and origins["000002"] == ""
    plain = prepared(raw, tmp_path / "b", "--features", "joints", command="humanml3d")
    index.rename(raw / "index.csv")
    found = prepared(raw, tmp_path / "c", "--features", "joints", command="humanml3d")
    assert store.fingerprint == found.fingerprint != plain.fingerprint


@pytest.mark.parametrize("text", ['{"000001": {"duration": 3}}', "[]", "not json"])
def test_a_file_that_is_no_index_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(ValueError, match=r"annotations.json: no index of clips \(.*source_path and new_name"):
        read_index(tmp_path / "annotations.json")


@pytest.mark.real
def test_the_real_indices_name_every_clip_of_the_lists() -> None:
    for folder, clips in (("humanml3d", 29228), ("kitml", 5752)):
        place = REAL / "text_only" / folder
        origins = read_index(place / ("index.csv" if folder == "humanml3d" else "annotations.json"))
        names = (place / "all.txt").read_text().split()
        assert len(names) == clips and all(origin_of(name, origins) for name in names)
        assert all(origin_of(name, origins) == origin_of(name.removeprefix("M"), origins) for name in names)
    assert origin_of("M00001", origins) == "KIT/4/WalkingStraightForward01"


@pytest.mark.real
def test_smpl_joints_of_kitmls_ids_are_not_kitmls_layout(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="motionlang prepare humanml3d"):
        prepared(REAL / "cmu_kitml", tmp_path / "store")
