"""A motion encoder over a grid of body parts and patches of frames, the alternative to frame tokens in CMMM.

In the spirit of masked autoencoders for skeletons (MAMP, Mao et al. 2023, has a token per joint and patch); LexMotion
does not say its tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.masking import in_groups
from motionlang_pl.models.motion_adapter import Adapter
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.transformer import initialise
from motionlang_pl.motion.skeleton import Skeleton, skeleton

PATCH = 4  # frames of a cell (Skeleton MAE and MAMP: 4)


class GridAdapter(Adapter):
    """Turns motions into cells, one per body part and patch of frames, and cells back into frames.

    A column belongs to the part that has most of the joints it tells about, so cells share none. It is hidden when any
    of these joints is, also where they are of another part.

    Args:
        spec: The feature kind with the training split's mean and standard deviation.
        width: The trunk's width D.
    """

    member: Tensor
    order: Tensor

    def __init__(self, spec: MotionSpec, width: int) -> None:
        super().__init__(spec)
        groups = list(skeleton(spec.skeleton).parts.values())
        member = torch.zeros(len(groups), self.column_joints.shape[1])
        for part, group in enumerate(groups):
            member[part, list(group)] = 1
        part_of = (member @ self.column_joints.T.float()).argmax(dim=0)
        places = [(part_of == part).nonzero()[:, 0] for part in range(len(groups))]
        self.register_buffer("member", member, persistent=False)
        self.register_buffer("order", torch.cat(places), persistent=False)
        self.sizes = [len(place) for place in places]
        self.input = nn.ModuleList(nn.Linear(PATCH * size, width) for size in self.sizes)
        self.hidden = nn.Parameter(torch.empty(width).normal_(std=0.02))
        self.output = nn.ModuleList(nn.Linear(width, PATCH * size) for size in self.sizes)
        self.apply(initialise)

    def forward(self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Project cells to the trunk's width, patch by patch; what is hidden becomes 0, and the trunk is told so.

        hidden: (B, T, J) bool.  noise: (B, T, C), in standard deviations, stands where columns are hidden, and nothing
        tells the trunk.  Returns (B, ceil(T / 4) * parts, D).
        """
        x = self.standardise(motion.features).masked_fill(~motion.mask[..., None], 0.0)
        if hidden is not None:
            columns = self.hidden_columns(hidden)
            x = x.masked_fill(columns, 0.0) if noise is None else torch.where(columns, noise, x)
        parts = torch.split(_patches(x)[..., self.order], self.sizes, dim=-1)
        cells = [project(part.flatten(2)) for project, part in zip(self.input, parts, strict=True)]
        x = torch.stack(cells, dim=2)
        if hidden is not None and noise is None:
            in_part = (hidden & motion.mask[..., None]).float() @ self.member.T
            x = x + (_patches(in_part).sum(dim=2) > 0)[..., None] * self.hidden
        return x.flatten(1, 2)

    def real_tokens(self, mask: Tensor) -> Tensor:
        """Mark the cells of patches with a real frame.  mask: (B, T).  Returns (B, ceil(T / 4) * parts) bool."""
        return in_groups(mask, PATCH).repeat_interleave(len(self.sizes), dim=1)

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(B, N, D) -> standardised features (B, 4 N / parts, C); the last patch may reach beyond the motion's end."""
        cells = torch.unflatten(tokens, 1, (-1, len(self.sizes))).unbind(dim=2)
        parts = [
            torch.unflatten(project(cell), 2, (PATCH, -1)) for project, cell in zip(self.output, cells, strict=True)
        ]
        return torch.cat(parts, dim=-1)[..., self.order.argsort()].flatten(1, 2)

    def freeze_pretraining(self) -> None:
        """Freeze what only masked modelling uses."""
        self.hidden.requires_grad_(False)
        self.output.requires_grad_(False)


class GridMotionEncoder(MotionEncoder):
    """The trunk's transformer over cells, with a learned position per patch and per body part, without the graph.

    Its tokens are the cells, patch by patch; `frame_stride: 5` gives the lexical head the mean of a patch's five cells.

    Args:
        skeleton: Whose body parts.
        width: Width D (512, as our reconstruction of CMMM has it).
        depth: Layers.
        heads: Attention heads.
        feedforward: Width of the feed-forward layers.
        dropout: 0.1.
        patches: Most patches of 4 frames that are encoded at once; an even number.
    """

    frames_per_token = PATCH

    def __init__(
        self,
        skeleton: Skeleton,
        width: int = 512,
        depth: int = 8,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        patches: int = 64,
    ) -> None:
        if patches < 2 or patches % 2:
            raise ValueError(f"patches {patches}: give an even number, so that half a window is whole patches")
        parts = len(skeleton.parts)
        super().__init__(skeleton, width, depth, heads, feedforward, dropout, patches * parts, graph_after=0)
        self.positions = nn.Embedding(patches + 1, width)
        self.parts = nn.Embedding(parts, width)
        self.positions.apply(initialise)
        self.parts.apply(initialise)

    def adapter(self, spec: MotionSpec) -> GridAdapter:
        """See `MotionEncoder`."""
        return GridAdapter(spec, self.width)

    def shallow(self, skeleton: Skeleton, depth: int) -> GridMotionEncoder:
        """See `MotionEncoder`."""
        patches = self.max_frames // len(skeleton.parts)
        return GridMotionEncoder(skeleton, self.width, depth, self.heads, 2 * self.width, 0.0, patches)

    def places(self, count: int) -> Tensor:
        """See `MotionEncoder`."""
        patches = -(-(count - 1) // len(self.parts.weight))
        cells = self.positions.weight[1 : patches + 1, None] + self.parts.weight
        return torch.cat((self.positions.weight[:1], cells.flatten(0, 1)))


def _patches(x: Tensor) -> Tensor:
    """(B, T, C) -> (B, ceil(T / 4), 4, C), zeros beyond the end."""
    return torch.unflatten(F.pad(x, (0, 0, 0, -x.shape[1] % PATCH)), 1, (-1, PATCH))
