"""The loaders on a folder of six clips whose samples can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import REAL
from lightning.pytorch.cli import LightningArgumentParser
from raw_folder import write_clip

from motionlang_pl.cli import main
from motionlang_pl.data.dataset import PairSamples, Reading
from motionlang_pl.data.loaders import TMR, Every, Guo, Loader, MoPatch, by_name
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.sources.origin_index import is_mirrored
from motionlang_pl.data.sources.raw import read_split_lists, split_lists
from motionlang_pl.data.store import Store

CLIPS = {
    "000030": (30, "short#a/DET#0.0#0.0"),
    "000050": (50, "one#a/DET#0.0#0.0", "other#a/DET#0.0#0.0"),
    "000199": (199, "whole#a/DET#0.0#0.0", "part#a/DET#2.0#5.0"),
    "000200": (200, "ten seconds#a/DET#0.0#0.0"),
    "000250": (250, "first a part#a/DET#1.0#3.0", "then the whole#a/DET#0.0#0.0"),
    "000260": (260, "long#a/DET#0.0#0.0"),
    "M000050": (50, "one mirrored#a/DET#0.0#0.0"),
}
UNMIRRORED = {
    "Every": ["000030", "000050", "000199", "000199_2_5", "000200", "000250_1_3", "000250", "000260"],
    "Guo": ["000050", "000199", "000199_2_5"],
    "TMR": ["000030", "000050", "000199", "000200", "000250_1_3", "000260"],
    "MoPatch": ["000030", "000050", "000199", "000200", "000250_1_3", "000260"],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("loaders")
    for seed, (name, (frames, *lines)) in enumerate(CLIPS.items()):
        write_clip(folder / "raw", name, frames, seed, *lines)
    for split in ("train", "val", "test"):
        (folder / "raw" / f"{split}.txt").write_text("\n".join(CLIPS))
    arguments = ["--raw", str(folder / "raw"), "--out", str(folder / "store"), "--features", "joints"]
    main(["prepare", "humanml3d", *arguments])
    return str(folder / "store")


def pairs(store: str, loader: Loader, split: str = "test", **other: object) -> PairSamples:
    samples = MotionLanguageData(store, "joints", loader=loader, **other).samples("pairs", split)  # type: ignore[arg-type]
    assert isinstance(samples, PairSamples)
    return samples


def training_pairs(store: str, loader: Loader) -> PairSamples:
    reading = Reading("joints", seed=0, max_frames=256, training=True, mirrored=False, loader=loader)
    return PairSamples(Store.open(store), "train", reading)


def ids(samples: PairSamples) -> list[str]:
    return [samples.sample_id(number) for number in range(len(samples))]


@pytest.mark.parametrize("name", UNMIRRORED)
def test_the_loaders_make_different_test_sets_of_one_folder(store: str, name: str) -> None:
    assert ids(pairs(store, by_name(name), mirrored=False)) == UNMIRRORED[name]
    assert sorted(ids(pairs(store, by_name(name)))) == sorted([*UNMIRRORED[name], "M000050"])


def test_tmr_limits_training_and_validation_to_two_to_ten_seconds(store: str) -> None:
    for split in ("train", "val"):
        samples = pairs(store, TMR(), split, mirrored=False)
        assert ids(samples) == ["000050", "000199", "000200", "000250_1_3"]
        assert samples.captions == [["one", "other"], ["whole", "part"], ["ten seconds"], ["first a part"]]
        assert samples.lengths.tolist() == [50, 199, 200, 40]


def test_a_caption_of_tmr_comes_with_its_own_stretch(store: str) -> None:
    samples = training_pairs(store, TMR())
    drawn = [samples[1, epoch] for epoch in range(30)]
    assert {(sample.caption, len(sample.features)) for sample in drawn} == {("whole", 199), ("part", 60)}
    assert {samples[1, epoch].caption for epoch in range(9)} == {"whole", "part"}
    tested = pairs(store, TMR())
    assert {tested[2, epoch].caption for epoch in range(9)} == {"whole"}


def test_a_tag_far_beyond_the_clip_means_its_end(tmp_path: Path) -> None:
    write_clip(tmp_path / "raw", "000001", 100, 0, "from one second on#a/DET#1.0#1e300")
    for split in ("train", "val", "test"):
        (tmp_path / "raw" / f"{split}.txt").write_text("000001")
    main(["prepare", "humanml3d", f"--raw={tmp_path / 'raw'}", f"--out={tmp_path / 'store'}", "--features", "joints"])
    for loader in (Every(), Guo(), TMR(), MoPatch()):
        assert pairs(str(tmp_path / "store"), loader).lengths.tolist() == [80]


def test_mopatch_reads_the_first_line_alone_and_224_frames(store: str) -> None:
    samples = pairs(store, MoPatch(), mirrored=False)
    assert samples.captions == [["short"], ["one"], ["whole"], ["ten seconds"], ["first a part"], ["long"]]
    assert samples.lengths.tolist() == [30, 50, 199, 200, 40, 224]
    long = Store.open(store).read("joints", 5, 0, 260)
    np.testing.assert_array_equal(samples[5, 3].features, long[:224])
    trained = training_pairs(store, MoPatch())
    crops = [trained[5, epoch].features for epoch in range(30)]
    assert {len(crop) for crop in crops} == {224}
    starts = {next(t for t in range(37) if (long[t : t + 224] == crop).all()) for crop in crops}
    assert len(starts) > 10 and max(starts) <= 36


def test_guo_crops_to_multiples_of_four_and_drops_a_unit_every_third_time(store: str) -> None:
    samples = pairs(store, Guo())
    lengths = [len(samples[0, epoch].features) for epoch in range(300)]
    assert set(lengths) == {48, 44}
    assert 70 < lengths.count(44) < 130
    assert {len(samples[1, epoch].features) for epoch in range(40)} == {196, 192}
    assert {samples[0, epoch].caption for epoch in range(9)} == {"one", "other"}


def test_guo_is_random_in_evaluation_and_the_same_again_for_a_seed(store: str) -> None:
    one, again, other = (pairs(store, Guo(), seed=seed) for seed in (1, 1, 2))
    for number in range(len(one)):
        assert one[number, 0].caption == again[number, 0].caption
        np.testing.assert_array_equal(one[number, 0].features, again[number, 0].features)
    heads = [[samples[number, 0].features[0].tolist() for number in range(len(one))] for samples in (one, other)]
    assert heads[0] != heads[1]


def test_a_sample_of_guo_counts_as_the_caption_that_was_drawn(store: str) -> None:
    samples = pairs(store, Guo())
    numbers = {samples[0, epoch].caption: samples[0, epoch].sentence for epoch in range(9)}
    assert len(set(numbers.values())) == 2
    every = pairs(store, Every())
    assert every[1, 0].sentence == numbers["one"]


def test_mirrored_clips_can_be_left_out_of_everything(store: str) -> None:
    data = MotionLanguageData(store, "joints", mirrored=False)
    assert len(MotionLanguageData(store, "joints").samples("motion", "test")) == 7
    assert len(data.samples("motion", "test")) == 6
    assert ["one mirrored"] not in data.samples("text", "test").captions  # type: ignore[attr-defined]


def test_a_loader_is_chosen_in_yaml_by_its_class(store: str, tmp_path: Path) -> None:
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(MotionLanguageData, "data")
    parser.add_argument("--config", action="config")
    config = tmp_path / "data.yaml"
    config.write_text(f"data:\n  store: {store}\n  features: joints\n  loader: {{class_path: MoPatch}}\n")
    data = parser.instantiate(parser.parse_args(["--config", str(config)])).data
    assert data.loader.name == "MoPatch"
    assert len(data.samples("pairs", "test")) == 7
    named = parser.instantiate(parser.parse_args([f"--data.store={store}", "--data.loader=Guo"]))
    assert named.data.loader.name == "Guo"


def test_an_unknown_loader_is_told_the_names() -> None:
    with pytest.raises(ValueError, match="'guo' is no known loader; choose one of Every, Guo, TMR, MoPatch"):
        by_name("guo")


def test_mirrored_motions_are_counted(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", store])
    assert "split test: 7 clips (1 mirrored), 10 annotations" in capsys.readouterr().out
    assert Store.open(store).meta["splits"]["test"]["mirrored"] == 1


@pytest.mark.real
def test_half_of_humanml3ds_test_ids_are_mirrored() -> None:
    lists = split_lists(REAL / "text_only" / "humanml3d", ("train", "val", "test"))
    found, _ = read_split_lists(lists)
    counts = {
        split: (len(names), sum(map(is_mirrored, names)))
        for split in ("train", "val", "test")
        if (names := [name for name, splits in found.items() if split in splits])
    }
    assert counts == {"train": (23384, 11692), "val": (1460, 730), "test": (4384, 2192)}
    assert all(found[name.removeprefix("M")] == splits for name, splits in found.items())
