from __future__ import annotations

import torch

from motionlang_pl.models.encoding import Encoding, mean_token, own_summary


def test_the_mean_token_is_of_real_tokens_and_0_where_there_is_none() -> None:
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]], [[7.0, 7.0]] * 3])
    mask = torch.tensor([[True, True, False], [False] * 3])
    encoding = Encoding(tokens, mask, torch.ones(2, 2))
    assert mean_token(encoding).tolist() == [[2.0, 4.0], [0.0, 0.0]]
    assert torch.equal(own_summary(encoding), encoding.summary)
