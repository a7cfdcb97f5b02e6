from __future__ import annotations

import itertools

import numpy as np
import pytest

from motionlang_pl.data.keys import draw, key, splitmix64
from motionlang_pl.data.sampler import EMPTY, BucketBatchSampler, EvaluationBatchSampler

LENGTHS = np.random.default_rng(0).integers(20, 200, size=103)


def merged(samplers: list) -> list[list[tuple[int, int]]]:
    """The global batches, put together from those of all ranks."""
    return [
        [item for row in itertools.zip_longest(*parts) for item in row if item is not None]
        for parts in zip(*samplers, strict=True)
    ]


@pytest.mark.parametrize("world", [2, 4])
def test_global_training_batches_do_not_depend_on_the_number_of_processes(world: int) -> None:
    alone = list(BucketBatchSampler(LENGTHS, 8, seed=3))
    ranks = [BucketBatchSampler(LENGTHS, 8, 3, rank, world) for rank in range(world)]
    assert merged(ranks) == alone
    assert {len(part) for sampler in ranks for part in sampler} == {8 // world}


def test_an_epoch_takes_each_sample_at_most_once_and_leaves_out_the_remainder() -> None:
    sampler = BucketBatchSampler(LENGTHS, 8, seed=0)
    samples = [sample for batch in sampler for sample, _ in batch]
    assert len(sampler) == len(list(sampler)) == 12 and len(samples) == len(set(samples)) == 96


def test_epochs_differ_and_repeat() -> None:
    sampler = BucketBatchSampler(LENGTHS, 8, seed=0)
    first = list(sampler)
    sampler.sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert first == list(sampler)
    assert [[s for s, _ in batch] for batch in first] != [[s for s, _ in batch] for batch in second]
    assert {epoch for batch in second for _, epoch in batch} == {1}


def test_a_batch_holds_samples_of_similar_length() -> None:
    lengths = np.arange(1000)
    spread = [np.ptp([s for s, _ in batch]) for batch in BucketBatchSampler(lengths, 10, seed=0)]
    assert max(spread) < 60  # 500 samples are sorted together: neighbours are about 2 apart


def test_start_skips_batches_of_this_epoch_only() -> None:
    sampler = BucketBatchSampler(LENGTHS, 8, seed=0)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.start = 5
    sampler.set_epoch(2)
    assert list(sampler) == whole[5:] and len(sampler) == 12
    sampler.set_epoch(3)
    assert sampler.start == 0 and len(list(sampler)) == 12


def test_fewer_samples_than_a_batch_make_one_batch_that_ranks_share_alike() -> None:
    assert [len(batch) for batch in BucketBatchSampler(LENGTHS[:7], 64, 0)] == [7]
    assert [[len(b) for b in BucketBatchSampler(LENGTHS[:7], 64, 0, rank, 2)] for rank in (0, 1)] == [[3], [3]]


def test_a_batch_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size 9 does not divide by 2 processes.*--data.batch_size"):
        BucketBatchSampler(LENGTHS, 9, 0, 0, 2)
    with pytest.raises(ValueError, match="1 samples are too few for 2 processes"):
        BucketBatchSampler(LENGTHS[:1], 8, 0, 0, 2)


@pytest.mark.parametrize(("samples", "world"), [(103, 1), (103, 2), (103, 4), (1, 4), (8, 2), (9, 4)])
def test_evaluation_reads_every_sample_and_gives_all_ranks_as_many_batches(samples: int, world: int) -> None:
    ranks = [list(EvaluationBatchSampler(LENGTHS[:samples], 8, rank, world)) for rank in range(world)]
    assert {len(batches) for batches in ranks} == {len(EvaluationBatchSampler(LENGTHS[:samples], 8, 0, world))}
    assert all(batch for batches in ranks for batch in batches)
    seen = [item for batches in ranks for batch in batches for item in batch]
    assert {sample for sample, _ in seen} - {EMPTY} == set(range(samples)) and {epoch for _, epoch in seen} == {0}
    assert len(seen) == samples + -samples % world


def test_evaluation_goes_by_length() -> None:
    order = [sample for batch in EvaluationBatchSampler(LENGTHS, 8) for sample, _ in batch]
    assert (np.diff(LENGTHS[order]) >= 0).all()


def test_splitmix64_gives_the_published_numbers() -> None:
    """First outputs of Java's SplittableRandom for seed 0: the state grows by the golden ratio, then is mixed."""
    assert [splitmix64(0), splitmix64(0x9E3779B97F4A7C15)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_keys_tell_seed_epoch_and_sample_apart() -> None:
    keys = {key(seed, epoch, sample) for seed in range(5) for epoch in range(5) for sample in range(50)}
    assert len(keys) == 1250 and all(-(2**63) <= one < 2**63 for one in keys)
    assert {draw(one, "crop", 4) for one in keys} == {0, 1, 2, 3}
    assert [draw(one, "crop", 100) for one in keys] != [draw(one, "caption", 100) for one in keys]
