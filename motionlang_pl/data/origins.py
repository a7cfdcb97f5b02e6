"""Origins: one name for a recording of AMASS, whatever a release, an index or an annotation file calls its file.

Sets that people combine (HumanML3D, KIT-ML, BABEL) annotate the same recordings; a clip's origin says so.
"""

from __future__ import annotations

# Sub-datasets of AMASS that were renamed: the folders that the SMPL-H archives unpack to (MPI_HDM05), those archives'
# first names, which BABEL writes before the folder (MPIHDM05), and `BML` of AMASS's own first split lists.
RENAMED = {
    "BML": "BMLrub",
    "BioMotionLab_NTroje": "BMLrub",
    "DFaust_67": "DFaust",
    "DFaust67": "DFaust",
    "Eyes_Japan_Dataset": "EyesJapanDataset",
    "MPI_HDM05": "HDM05",
    "MPI_Limits": "PosePrior",
    "MPILimits": "PosePrior",
    "MPI_mosh": "MoSh",
    "MPImosh": "MoSh",
    "MPIHDM05": "HDM05",
    "SSM_synced": "SSM",
    "SSMsynced": "SSM",
    "TCD_handMocap": "TCDHands",
    "TCDhandMocap": "TCDHands",
    "Transitions_mocap": "Transitions",
    "Transitionsmocap": "Transitions",
    "Synthetic_C": "SyntheticC",  # the synthetic data set has a renamed folder too
}
_ENDINGS = ("_poses", "_stageii", "_stagei")
_NOT_NAMES = ("", ".", "..", "pose_data", "amass_data")


def dataset_name(folder: str) -> str:
    """The present name of a sub-dataset of AMASS."""
    return RENAMED.get(folder, folder)


def other_names(dataset: str) -> list[str]:
    """The other names of a sub-dataset of AMASS, present name first."""
    present = dataset_name(dataset)
    return [
        name for name in (present, *sorted(old for old, new in RENAMED.items() if new == present)) if name != dataset
    ]


def origin(path: str) -> str:
    """The origin of a recording: `KIT/3/kick_high_left02` for each of the ways to write its file.

    Old names of data sets become the present ones, a data set's folder inside a folder of the same name counts once
    (BABEL's `BMLrub/BioMotionLab_NTroje/rub001/...`), spaces are underscores, and the file's ending is left out. Empty
    for a path that names no file.
    """
    parts = [dataset_name(part) for part in path.replace("\\", "/").split("/") if part not in _NOT_NAMES]
    if not parts:
        return ""
    folders = [part for place, part in enumerate(parts[:-1]) if part != parts[place - 1] or place == 0]
    name = parts[-1].removesuffix(".npz").removesuffix(".npy")
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return "/".join((*folders, name)).replace(" ", "_")
