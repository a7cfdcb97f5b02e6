from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from motionlang_pl.motion.skeleton import MMM21, SMPL22
from motionlang_pl.tools.animation import SkeletonClip, skeleton_html


@pytest.mark.parametrize("skeleton", [SMPL22, MMM21], ids=lambda skeleton: skeleton.name)
def test_the_page_of_skeletons_fetches_nothing(skeleton: object, tmp_path: Path) -> None:
    joints = torch.rand(7, len(skeleton.joints), 3)  # type: ignore[attr-defined]
    clips = [SkeletonClip("waves </script><b>", joints, "hand 1.2"), SkeletonClip("walks", joints[:3])]
    skeleton_html(clips, skeleton, 20.0, tmp_path / "page.html")  # type: ignore[arg-type]
    page = (tmp_path / "page.html").read_text()
    assert not re.search(r"https?://|src=|@import|<link|url\(", page)
    assert page.count("</script>") == 1 and "hand 1.2" in page
    assert str(round(1000 * float(joints[0, 0, 0]))) in page


def test_joints_that_cannot_be_drawn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'walks': joints are \(5, 21, 3\), smpl22 needs \(frames, 22, 3\)"):
        skeleton_html([SkeletonClip("walks", torch.zeros(5, 21, 3))], SMPL22, 20.0, tmp_path / "x.html")
    with pytest.raises(ValueError, match="NaN"):
        skeleton_html([SkeletonClip("walks", torch.full((5, 22, 3), torch.nan))], SMPL22, 20.0, tmp_path / "x.html")
