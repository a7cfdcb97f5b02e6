"""The pre-norm transformer layer (Xiong et al. 2020) that motion encoder and lexical decoder share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each normalised first and added to the residual.

    Args:
        width: Width D.
        heads: Attention heads; must divide the width.
        feedforward: Width of the hidden layer.
        dropout: On both branches; not on attention weights, where it would rule out fused attention.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, feedforward),
            nn.GELU(),
            nn.Linear(feedforward, width),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, N, D).  mask: (B, N) bool, which tokens are attended to, at least one per row.  Returns (B, N, D)."""
        query, key, value = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = self.attend(query, key, value, mask)
        x = x + F.dropout(self.attended(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)
        return x + F.dropout(self.feedforward(x), self.dropout, self.training)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Attend to the tokens that the mask (B, N) marks.  query, key, value: (B, heads, N, D / heads)."""
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])


def initialise(module: nn.Module) -> None:
    """Start linear layers and embeddings from N(0, 0.02) and biases from 0, as BERT does; for `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def check_heads(width: int, heads: int) -> None:
    """Raise ValueError unless attention heads divide a width."""
    if width % heads:
        raise ValueError(f"{heads} heads do not divide the width {width}; choose a width that is a multiple of heads")
