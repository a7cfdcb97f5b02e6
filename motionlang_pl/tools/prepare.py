"""`motionlang prepare`: raw data to a store. Every file that cannot be read is named with its reason."""

from __future__ import annotations

from pathlib import Path

from motionlang_pl.data.build import build
from motionlang_pl.data.sources import amass as amass_source
from motionlang_pl.data.sources import humanml3d as humanml3d_source
from motionlang_pl.data.sources import text as text_source
from motionlang_pl.data.sources.synthetic import write_amass, write_humanml3d


def humanml3d(
    raw: Path,
    out: Path,
    splits: Path | None = None,
    features: list[str] = ["humanml3d"],  # noqa: B006  (jsonargparse shows the default; it is not changed)
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of a folder in HumanML3D's layout (new_joints, new_joint_vecs, texts, split lists).

    Args:
        raw: The folder.
        out: The store to build; a killed run goes on when called again.
        splits: Folder of split lists NAME.txt, one id a line; else train.txt, val.txt and test.txt in the raw folder.
        features: Feature kinds: joints, humanml3d, ik_rot6d.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(humanml3d_source.source(raw, splits, features), out, workers, allow_skips)


def amass(
    raw: Path,
    out: Path,
    fps: int = 30,
    datasets: list[str] | None = None,
    workers: int = 1,
    allow_skips: bool = False,
) -> None:
    """Makes a store of AMASS downloads (DATASET/SUBJECT/NAME.npz): joints and smpl_rot6d, windows of 5 s, no sentences.

    Args:
        raw: The folder of the unpacked downloads.
        out: The store to build; a killed run goes on when called again.
        fps: Frames per second to resample to.
        datasets: Names of the data sets to read; else all.
        workers: Processes that read.
        allow_skips: Build the store even if something could not be read.
    """
    build(amass_source.source(raw, fps, datasets), out, workers, allow_skips)


def text(raw: Path, out: Path, splits: Path | None = None, allow_skips: bool = False) -> None:
    """Makes a store of sentences without motion.

    Args:
        raw: A .txt file with one sentence a line, or a folder with HumanML3D's texts/ID.txt.
        out: The store to build.
        splits: Folder of split lists NAME.txt; else train.txt, val.txt and test.txt beside texts, else all is training.
        allow_skips: Build the store even if something could not be read.
    """
    build(text_source.source(raw, splits), out, 1, allow_skips)


def synthetic(out: Path, clips: int = 600, seed: int = 0) -> None:
    """Writes the synthetic data set in the raw layouts of HumanML3D and AMASS, and makes a store of each.

    Args:
        out: Folder to write humanml3d_raw, amass_raw and the stores humanml3d and amass into.
        clips: Number of clips.
        seed: Another seed gives other motions.
    """
    for name, write in (("humanml3d", write_humanml3d), ("amass", write_amass)):
        folder = out / f"{name}_raw"
        wanted = f"{clips} clips, seed {seed}\n"
        done = folder / "synthetic.done"  # written last: says that the folder is whole, and what it is
        if not done.is_file():
            write(folder, clips, seed)
            done.write_text(wanted)
        elif done.read_text() != wanted:
            raise FileExistsError(f"{folder}: holds {done.read_text().strip()}; choose another --out or remove {out}")
    humanml3d(out / "humanml3d_raw", out / "humanml3d", features=["joints", "humanml3d"])
    amass(out / "amass_raw", out / "amass")
