"""Two gloo processes: what is gathered, and the gradients that come back."""

from __future__ import annotations

import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from motionlang_pl.distributed import gather, gather_plain, global_mean
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.losses.masked import masked_l1
from motionlang_pl.scores import cosine


def whole() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)


def _contrast(text: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    return info_nce(cosine(gather(text), gather(motion)) / 0.1)


def _rank(rank: int, file: str, cut: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    rows = slice(0, cut) if rank == 0 else slice(cut, 6)

    text, motion = whole()
    alone_text, alone_motion = text.clone().requires_grad_(), motion.clone().requires_grad_()
    alone = info_nce(cosine(alone_text, alone_motion) / 0.1)
    alone.backward()
    mine, theirs = text[rows].clone().requires_grad_(), motion[rows].clone().requires_grad_()
    loss = _contrast(mine, theirs)
    loss.backward()
    torch.testing.assert_close(loss, alone)
    torch.testing.assert_close(mine.grad, 2 * alone_text.grad[rows])  # DDP then averages over the 2 ranks
    torch.testing.assert_close(theirs.grad, 2 * alone_motion.grad[rows])

    numbers = torch.arange(6)
    assert torch.equal(gather_plain(numbers[rows]), numbers)
    assert torch.equal(gather_plain(numbers[rows] > 2), numbers > 2)
    assert gather_plain(text[rows][:, None]).shape == (6, 1, 5)

    where = torch.zeros(6, 5, dtype=torch.bool)
    where[0, :3] = where[5, 1] = True
    part = masked_l1(mine, theirs, where[rows])
    dist.all_reduce(mean := part.detach().clone())
    torch.testing.assert_close(mean / 2, (text - motion).abs()[where].mean())
    assert global_mean(part, torch.tensor(0)) == 2 * part  # counted by no rank: no division by 0
    dist.destroy_process_group()


def _spawn(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank, (f"{folder}/rendezvous", cut), nprocs=2)


def test_two_processes_give_the_contrast_and_gradient_of_one():
    _spawn(cut=3)


def test_ranks_may_hold_different_numbers_of_rows():
    _spawn(cut=4)


def test_one_process_gathers_itself():
    x = torch.ones(2, 3, requires_grad=True)
    assert gather(x) is x
    assert torch.equal(gather_plain(x), x) and not gather_plain(x).requires_grad
    assert global_mean(torch.tensor(6.0), torch.tensor(4)) == 1.5
    assert global_mean(torch.tensor(0.0), torch.tensor(0)) == 0
