"""The trunk: a transformer over frames with class token, valid segment and graph bottleneck (MoLang, Kim 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.motion_adapter import Adapter, MotionAdapter
from motionlang_pl.models.transformer import TransformerLayer, initialise
from motionlang_pl.motion.skeleton import Skeleton


class GraphBottleneck(nn.Module):
    """Graph convolution over the skeleton between two layers: a token is unfolded to joints, which mix along bones.

    The paper's sum has neither self-loops nor normalisation (`PrintedGraphBottleneck`); we use both (Kipf & Welling
    2017: D^-1/2 (A + I) D^-1/2), so that a joint keeps its own features.

    Args:
        width: Width D of a token.
        skeleton: Whose bones.
        joint_width: Width of a joint.
    """

    mixing: Tensor

    def __init__(self, width: int, skeleton: Skeleton, joint_width: int = 32) -> None:
        super().__init__()
        graph = skeleton.adjacency().float() + torch.eye(len(skeleton.joints))
        scale = graph.sum(dim=1).rsqrt()
        self.register_buffer("mixing", scale[:, None] * graph * scale, persistent=False)
        self.norm = nn.LayerNorm(width)
        self.unfold = nn.Linear(width, len(skeleton.joints) * joint_width)
        self.along_bones = nn.Linear(joint_width, joint_width)
        self.fold = nn.Linear(len(skeleton.joints) * joint_width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (B, T, D).  Returns (B, T, D), the residual included."""
        joints = self.unfold(self.norm(frames)).unflatten(-1, (len(self.mixing), -1))
        mixed = F.gelu(self.along_bones(self.mixing @ joints))
        return frames + self.fold(mixed.flatten(-2))  # type: ignore[no-any-return]


class PrintedGraphBottleneck(GraphBottleneck):
    """The graph convolution as MoLang prints it, sigma(A h W): a joint becomes the plain sum over its neighbours.

    Without itself, and without a bias, so that neither form takes over the other's weights. The paper does not say
    sigma: GELU, as in the other.
    """

    def __init__(self, width: int, skeleton: Skeleton, joint_width: int = 32) -> None:
        super().__init__(width, skeleton, joint_width)
        self.mixing = skeleton.adjacency().float()
        self.along_bones = nn.Linear(joint_width, joint_width, bias=False)


class MotionEncoder(nn.Module):
    """Encodes projected frames; padding never changes an encoding, and a clip of nothing but padding has a finite one.

    Args:
        skeleton: Whose bones the graph bottleneck follows.
        width: Width D (MoLang: 768).
        depth: Layers (10).
        heads: Attention heads (12).
        feedforward: Width of the feed-forward layers (1024).
        dropout: 0.1.
        max_frames: Most frames that are encoded at once.
        graph_after: The graph bottleneck stands after this layer (4), nowhere for 0.
        graph: Builds the graph bottleneck for a width and a skeleton.
    """

    frames_per_token = 1

    def __init__(
        self,
        skeleton: Skeleton,
        width: int = 768,
        depth: int = 10,
        heads: int = 12,
        feedforward: int = 1024,
        dropout: float = 0.1,
        max_frames: int = 256,
        graph_after: int = 4,
        graph: Callable[[int, Skeleton], GraphBottleneck] = GraphBottleneck,
    ) -> None:
        super().__init__()
        if not 0 <= graph_after <= depth:
            raise ValueError(f"graph_after {graph_after} must be 0 (none) or one of the {depth} layers (depth)")
        self.width, self.heads, self.max_frames, self.graph_after = width, heads, max_frames, graph_after
        self.start = nn.Parameter(torch.empty(width).normal_(std=0.02))
        self.positions = nn.Embedding(max_frames + 1, width)
        self.valid = nn.Embedding(2, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, feedforward, dropout) for _ in range(depth))
        self.graph = graph(width, skeleton) if graph_after else None
        self.norm = nn.LayerNorm(width)
        self.apply(initialise)

    def forward(self, frames: Tensor, mask: Tensor) -> Encoding:
        """Encode at most `max_frames` frames: a token each (0 where padded), and the class token as the summary.

        frames: (B, T, D).  mask: (B, T).
        """
        if frames.shape[1] > self.max_frames:
            raise ValueError(
                f"{frames.shape[1]} frames exceed the encoder's {self.max_frames}; crop them or use encode_windows"
            )
        start = self.start.to(frames.dtype).expand(len(frames), 1, -1)
        real = F.pad(mask, (1, 0), value=True)
        x = torch.cat((start, frames), dim=1) + self.places(real.shape[1]) + self.valid(real.long())
        x = self.dropout(x)
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, real)
            if self.graph is not None and number == self.graph_after:
                x = torch.cat((x[:, :1], self.graph(x[:, 1:])), dim=1)
        x = self.norm(x)
        return Encoding(x[:, 1:].masked_fill(~mask[..., None], 0.0), mask, x[:, 0])

    def places(self, count: int) -> Tensor:
        """Return what tells the first `count` tokens apart, the class token before them: (count, D)."""
        return self.positions.weight[:count]

    def adapter(self, spec: MotionSpec) -> Adapter:
        """Build the adapter whose tokens it reads."""
        return MotionAdapter(spec, self.width)

    def shallow(self, skeleton: Skeleton, depth: int) -> MotionEncoder:
        """Build a light decoder over the same tokens."""
        return MotionEncoder(skeleton, self.width, depth, self.heads, 2 * self.width, 0.0, self.max_frames, 0)


def encode_frames(
    adapter: Adapter, encoder: MotionEncoder, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None
) -> Encoding:
    """Encode motions of any length by adapter and trunk.  hidden, noise: as the adapter takes them."""
    return encode_windows(encoder, adapter(motion, hidden, noise), adapter.real_tokens(motion.mask))


def encode_windows(encoder: MotionEncoder, frames: Tensor, mask: Tensor) -> Encoding:
    """Encode motions of any length, those longer than the encoder's `max_frames` in windows that overlap by half.

    A motion has as many windows as cover its real frames, whatever else is in the batch.  Its summary is the mean of
    theirs; a frame's token comes from the window in which it stands nearest to the middle.

    frames: (B, T, D).  mask: (B, T).  Returns tokens (B, T, D).
    """
    total, size = frames.shape[1], encoder.max_frames
    if total <= size:
        return encoder(frames, mask)  # type: ignore[no-any-return]
    step = max(1, size // 2)
    place = torch.arange(total, device=mask.device)
    length = ((place + 1) * mask).amax(dim=1)
    count = 1 + (length - size).clamp(min=0).add(step - 1).div(step, rounding_mode="floor")
    windows = 1 + -(-(total - size) // step)
    needed = torch.arange(windows, device=mask.device) < count[:, None]
    more = (windows - 1) * step + size - total
    in_windows = F.pad(frames, (0, 0, 0, more)).unfold(1, size, step).movedim(-1, 2)[needed]
    encoding = encoder(in_windows, F.pad(mask, (0, more)).unfold(1, size, step)[needed])

    slot = needed.flatten().cumsum(dim=0).view_as(needed) - 1
    nearest = (place - step // 2).div(step, rounding_mode="floor").clamp(min=0)
    window = torch.minimum(nearest, count[:, None] - 1)
    within = (place - window * step).clamp(max=size - 1)  # beyond a motion's last window everything is padding
    tokens = encoding.tokens[slot.gather(1, window), within].masked_fill(~mask[..., None], 0.0)
    summaries = encoding.summary.new_zeros(*needed.shape, encoder.width)
    summaries[needed] = encoding.summary
    return Encoding(tokens, mask, summaries.sum(dim=1) / count[:, None])
