"""Overlap between data sets: HumanML3D, KIT-ML and BABEL annotate the same recordings of AMASS.

So what one trains on, another may test on (TMR++, Bensabath et al. 2024). A clip's origin tells its recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.data.store import Store


def held_out(stores: Iterable[Store], splits: Sequence[str]) -> frozenset[str]:
    """The origins of all clips in any of the splits of these stores.

    Raises:
        ValueError: a store has no such split, or states no origin in them: overlap with it cannot be seen.
    """
    found: set[str] = set()
    for store in stores:
        names = [name for name in splits if name in store.splits]
        if not names:
            raise ValueError(
                f"--data.exclude_overlap_with {store.path}: it has no split {' or '.join(splits)} to keep out "
                f"(it has {', '.join(store.splits) or 'none'})"
            )
        table = store.annotations
        clips = np.unique(table.clip[table.rows("+".join(names))])
        origins = {store.clips.origin[clip] for clip in clips[clips >= 0].tolist()} - {""}
        if not origins:
            raise ValueError(
                f"--data.exclude_overlap_with {store.path}: no clip in {' and '.join(names)} tells its recording, "
                "so no overlap can be seen; prepare it with its index of recordings"
            )
        found |= origins
    return frozenset(found)


def without(store: Store, rows: NDArray[np.int64], origins: frozenset[str]) -> NDArray[np.int64]:
    """The annotations among `rows` whose clip is of none of these origins, or of an unknown one, or of no clip."""
    if not origins:
        return rows
    clips = store.annotations.clip[rows]
    out = [clip for clip in np.unique(clips[clips >= 0]).tolist() if store.clips.origin[clip] in origins]
    return rows[~np.isin(clips, out)]


def overlap(stores: Sequence[Store], splits: Sequence[str], origins: frozenset[str]) -> str:
    """What `without` leaves out of each store's split, in words; a warning where origins are unknown."""
    names = [
        store.clips.origin[clip]
        for store, split in zip(stores, splits, strict=True)
        for clip in np.unique(store.annotations.clip[store.annotations.rows(split)]).tolist()
        if clip >= 0
    ]
    out, unknown = sum(name in origins for name in names), names.count("")
    line = f"{out} of {len(names)} training clips left out: others validate or test on their recordings"
    if unknown:
        line += f"; warning: the recordings of {unknown} are unknown, so no overlap can be seen for them"
    return line
