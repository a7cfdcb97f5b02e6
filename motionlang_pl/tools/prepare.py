"""`motionlang prepare`: raw data to a store. Every file that cannot be read is named with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from motionlang_pl.data.build import build
from motionlang_pl.data.sources import amass as amass_source
from motionlang_pl.data.sources import babel as babel_source
from motionlang_pl.data.sources import crops as crops_source
from motionlang_pl.data.sources import humanact12 as humanact12_source
from motionlang_pl.data.sources import humanml3d as humanml3d_source
from motionlang_pl.data.sources import kitml as kitml_source
from motionlang_pl.data.sources import ntu13 as ntu13_source
from motionlang_pl.data.sources import text as text_source
from motionlang_pl.data.sources import uestc as uestc_source
from motionlang_pl.data.sources import unified as unified_source
from motionlang_pl.data.sources.over_amass import complete
from motionlang_pl.data.sources.own import files as own_source
from motionlang_pl.data.sources.own.folder import Wishes
from motionlang_pl.data.sources.synthetic.actionsets import write_humanact12, write_ntu13, write_uestc
from motionlang_pl.data.sources.synthetic.annotations import write_babel, write_index, write_unified
from motionlang_pl.data.sources.synthetic.clips import write_amass, write_humanml3d
from motionlang_pl.data.sources.synthetic.kitml import write_kitml


def humanml3d(
    raw: Path,
    out: Path,
    splits: Path | None = None,
    features: list[str] = ["humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    index: Path | None = None,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of a folder in HumanML3D's layout (new_joints, new_joint_vecs, texts, split lists).

    Args:
        raw: The folder.
        out: The store to build; a killed run goes on when called again.
        splits: Folder of split lists NAME.txt, one id a line; else train.txt, val.txt and test.txt in the raw folder.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles.
        index: HumanML3D's index.csv or TMR's annotations.json, which name the recordings that clips were cut from; else
            one in the raw folder.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(humanml3d_source.source(raw, splits, features, index), out, workers, allow_skips)


def kitml(
    raw: Path,
    out: Path,
    splits: Path | None = None,
    features: list[str] = ["kitml"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    index: Path | None = None,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of KIT-ML as released with HumanML3D: 21 joints in millimetres, 251 columns, 12.5 fps.

    Args:
        raw: The folder that holds new_joints, new_joint_vecs, texts and the split lists.
        out: The store to build; a killed run goes on when called again.
        splits: Folder of split lists NAME.txt, one id a line; else train.txt, val.txt and test.txt in the raw folder.
        features: Feature kinds: joints (metres in the store), kitml (as released), angles.
        index: TMR's annotations.json, which names the recordings that clips were cut from; else one in the raw folder.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(kitml_source.source(raw, splits, features, index), out, workers, allow_skips)


def amass(
    raw: Path,
    out: Path,
    body_models: Path | None = None,
    fps: float = 30.0,
    datasets: list[str] | None = None,
    splits: Path | None = None,
    features: list[str] = ["joints", "smpl_rot6d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    window: float = 5.0,  # MoLang (Kim 2023): motions of at most 150 frames at 30 fps
    stride: float = 0.5,  # ours: gives about as many windows of AMASS as the 364 thousand that MoLang reports
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of AMASS downloads (DATASET/SUBJECT/NAME.npz, SMPL-H or SMPL-X): motion in windows, no sentences.

    Args:
        raw: The folder of the unpacked downloads.
        out: The store to build; a killed run goes on when called again.
        body_models: Folder of smplh/SMPLH_MALE.npz, smplx/SMPLX_NEUTRAL.npz, ..., which give each person's own joints;
            else joints are those of one neutral skeleton.
        fps: Frames per second to resample to.
        datasets: Names of the data sets to read, old or present ones; else all.
        splits: Folder of split lists NAME.txt, each line DATASET, DATASET/SUBJECT or DATASET/SUBJECT/NAME; what no list
            names is left out. Without it 80, 10 and 10 percent of subjects are train, val and test, by a hash.
        features: Feature kinds: joints (always there), smpl_rot6d, ik_rot6d, angles; at 20 fps also humanml3d.
        window: Seconds of a window; windows are annotations, frames are stored once.
        stride: Seconds from the start of a window to the next; a last one ends with its clip.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    windows = amass_source.Windows(window, stride)
    build(amass_source.source(raw, fps, features, windows, datasets, splits, body_models), out, workers, allow_skips)


def humanact12(
    raw: Path,
    out: Path,
    features: list[str] = ["humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    fps: float = 20,
    source_fps: float = 20,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of HumanAct12: joints of 12 actions, each clip with its class as sentence and label.

    Args:
        raw: The folder of PxxGxxRxxFxxxxTxxxxAxxxx.npy; for smpl_rot6d with a folder poses of the same names in it.
        out: The store to build; a killed run goes on when called again.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles, smpl_rot6d.
        fps: Frames per second to resample to.
        source_fps: Frames per second of the files, which they don't state: 20 is HumanML3D's, about 13 the recording's.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(humanact12_source.source(raw, fps, source_fps, features), out, workers, allow_skips)


def ntu13(
    raw: Path,
    out: Path,
    features: list[str] = ["humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    fps: float = 20,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of NTU-13 (refined NTU RGB+D): SMPL poses of 13 actions, each clip with its class as sentence.

    Args:
        raw: The folder that holds ntu_vibe_list.txt, and a .npz with `pose` (T, 72) for each clip of it.
        out: The store to build; a killed run goes on when called again.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles, smpl_rot6d.
        fps: Frames per second to resample to, from 30.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(ntu13_source.source(raw, fps, features), out, workers, allow_skips)


def uestc(
    raw: Path,
    out: Path,
    features: list[str] = ["humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    fps: float = 20,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of UESTC as ACTOR released it: SMPL poses of 40 exercises, each clip with its class as sentence.

    Args:
        raw: The folder that holds info/names.txt, and vibe/NAME.npz with `pose` (T, 72) and `orig_cam` (T, 4).
        out: The store to build; a killed run goes on when called again.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles, smpl_rot6d.
        fps: Frames per second to resample to, from 30.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(uestc_source.source(raw, fps, features), out, workers, allow_skips)


def babel(
    raw: Path,
    amass: Path,
    out: Path,
    text: babel_source.Text = "raw_label",
    keep_transitions: bool = False,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of BABEL over a store of AMASS: whole recordings, segments with words and action categories.

    Args:
        raw: BABEL's folder, with train.json, val.json, test.json, extra_train.json, extra_val.json or some of them.
        amass: The store that `prepare amass` made; its frame rate and feature kinds are kept.
        out: The store to build; a killed run goes on when called again.
        text: The field that gives the sentences: raw_label or proc_label.
        keep_transitions: Keep the segments that are transitions between actions.
        workers: Processes that read.
        allow_skips: Build the store even if recordings are missing.
    """
    source = babel_source.source(raw, amass, text, keep_transitions)
    build(complete(source, allow_skips), out, workers, allow_skips)


def unified(
    annotations: Path,
    amass: Path,
    splits: Path,
    out: Path,
    features: list[str] = ["joints", "humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of TMR's unified annotations (HumanML3D, KIT-ML or BABEL) over a store of AMASS, at 20 fps.

    Args:
        annotations: The annotations.json: path in AMASS, duration and sentences by id.
        amass: The store that `prepare amass` made; with --fps 20 no frame is interpolated twice.
        splits: Folder of split lists NAME.txt, one id a line.
        out: The store to build; a killed run goes on when called again.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles.
        workers: Processes that read.
        allow_skips: Build the store even if recordings are missing.
    """
    source = unified_source.source(annotations, amass, splits, features)
    build(complete(source, allow_skips), out, workers, allow_skips)


def index(
    index: Path,
    amass: Path,
    texts: Path,
    splits: Path,
    out: Path,
    humanact12: Path | None = None,
    features: list[str] = ["joints", "humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of HumanML3D out of a store of AMASS: cut as index.csv says, mirrored, on HumanML3D's body.

    Args:
        index: HumanML3D's index.csv.
        amass: The store that `prepare amass` made; with --fps 20 the frames are those that HumanML3D took.
        texts: HumanML3D's folder of ID.txt (unpack texts.zip).
        splits: Folder of split lists NAME.txt, one id a line.
        out: The store to build; a killed run goes on when called again.
        humanact12: HumanML3D's own folder of HumanAct12 (unpack humanact12.zip), .npy of joints (T, 24, 3) at 20 fps;
            without it those clips are left out.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read or recordings are missing.
    """
    source = crops_source.source(index, amass, texts, splits, features, humanact12)
    build(complete(source, allow_skips), out, workers, allow_skips)


def text(raw: Path, out: Path, splits: Path | None = None, allow_skips: bool = False) -> None:
    """Makes a store of sentences without motion.

    Args:
        raw: A .txt file with one sentence a line, or a folder with HumanML3D's texts/ID.txt.
        out: The store to build.
        splits: Folder of split lists NAME.txt; else train.txt, val.txt and test.txt beside texts, else all is training.
        allow_skips: Build the store even if something could not be read.
    """
    build(text_source.source(raw, splits), out, 1, allow_skips)


def own(
    motions: Path,
    out: Path,
    captions: Path | None = None,
    rig: str | None = None,
    unit: str | None = None,
    up: str | None = None,
    source_fps: float | None = None,
    skip_first: int = 0,
    fps: float = 20.0,
    keep_bones: bool = False,
    features: list[str] = ["humanml3d"],  # noqa: B006
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of one's own motions: .bvh, .amc with its .asf, .npy or .npz of joints.

    Args:
        motions: Their folder; files of one folder in it are taken to be of one rig, unit and up axis.
        out: The store to build; a killed run goes on when called again.
        captions: CSV with the columns file and caption, and where wanted start, end, split, labels (a;b).
        rig: Name of a shipped rig, or a YAML file that maps joints; else told by the names of the joints.
        unit: m, cm, mm, inch, foot or cmu; else told by the length of the legs.
        up: y or z; else told by where the heads are.
        source_fps: Frames per second of files that do not say it: .amc, .npy, .npz without fps.
        skip_first: Frames to leave out at the start of every file, such as a rest pose.
        fps: Frames per second of the store.
        keep_bones: Keep each person's bone lengths; else they become those of HumanML3D's one body.
        features: Feature kinds: joints, humanml3d, ik_rot6d, angles.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    wishes = Wishes(rig, unit, up, source_fps, fps, skip_first, keep_bones, tuple(features))
    build(own_source.source(motions, captions, wishes), out, workers, allow_skips)


def synthetic(
    out: Path,
    clips: int = 600,
    seed: int = 0,
    layouts: list[str] = ["humanml3d", "amass"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
) -> None:
    """Writes the synthetic data set in the raw layouts of real ones, and makes a store of each.

    Args:
        out: Folder to write NAME_raw and the store NAME of every layout into.
        clips: Number of clips.
        seed: Another seed gives other motions.
        layouts: humanml3d, amass, kitml, babel, unified, index, humanact12, ntu13, uestc. Of these, babel, unified and
            index are annotations over amass, which has to be there or stand before them.
    """
    stores: dict[str, tuple[Callable[[Path, int, int], None], Callable[[Path, Path], None]]] = {
        "humanml3d": (
            write_humanml3d,
            lambda raw, store: humanml3d(raw, store, features=["joints", "humanml3d", "angles"]),
        ),
        "amass": (write_amass, lambda raw, store: amass(raw, store, splits=raw / "splits")),
        "kitml": (write_kitml, lambda raw, store: kitml(raw, store, features=["joints", "kitml"])),
        "babel": (write_babel, lambda raw, store: babel(raw, out / "amass", store)),
        "unified": (
            write_unified,
            lambda raw, store: unified(raw / "annotations.json", out / "amass", raw / "splits", store),
        ),
        "index": (
            write_index,
            lambda raw, store: index(raw / "index.csv", out / "amass", raw / "texts", raw / "splits", store),
        ),
        "humanact12": (write_humanact12, humanact12),
        "ntu13": (write_ntu13, ntu13),
        "uestc": (write_uestc, uestc),
    }
    unknown = [name for name in layouts if name not in stores]
    if unknown or not layouts:
        raise ValueError(f"--layouts {unknown}: the synthetic data set is written as {', '.join(stores)}")
    for name in layouts:
        write, read = stores[name]
        _written(out / f"{name}_raw", write, clips, seed)
        read(out / f"{name}_raw", out / name)


def _written(folder: Path, write: Callable[[Path, int, int], None], clips: int, seed: int) -> None:
    """Writes a raw folder, unless it is there; FileExistsError where it holds other clips."""
    wanted = f"{clips} clips, seed {seed}\n"
    done = folder / "synthetic.done"  # written last: says that the folder is whole, and what it is
    if not done.is_file():
        write(folder, clips, seed)
        done.write_text(wanted)
    elif done.read_text() != wanted:
        raise FileExistsError(
            f"{folder}: holds {done.read_text().strip()}; choose another --out or remove {folder.parent}"
        )
