from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from raw_folder import write_clip

from motionlang_pl.data.augmentation import OFF, Augmentation
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.words import mirror_words
from motionlang_pl.motion.features import compute, joints_from
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.mirror import mirror_columns
from motionlang_pl.motion.resample import resample_positions
from motionlang_pl.motion.rotations import orthonormalise
from motionlang_pl.motion.skeleton import SMPL22
from motionlang_pl.motion.speed import change_speed
from motionlang_pl.tools import prepare

KINDS = ["joints", "humanml3d", "ik_rot6d"]
EPOCHS = range(40)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    write_clip(folder / "raw", "000000", 90, 1, "he raises the left arm.#x/NOUN#0.0#0.0")
    write_clip(folder / "raw", "000001", 60, 2, "a person waves.#x/NOUN#0.0#0.0")
    for split, names in {"train": "000000\n000001\n", "val": "000000\n"}.items():
        (folder / "raw" / f"{split}.txt").write_text(names)
    prepare.humanml3d(folder / "raw", folder / "store", features=KINDS)
    return str(folder / "store")


def data(store: str, **settings: float) -> MotionLanguageData:
    return MotionLanguageData(store, "joints", augmentation=Augmentation(**settings))


@pytest.mark.parametrize(
    ("said", "twin"),
    [
        ("steps left, then right.", "steps right, then left."),
        ("The LEFT foot. Left-handed!", "The RIGHT foot. Right-handed!"),
        ("moves leftward to the rightmost chair", "moves rightward to the leftmost chair"),
        ("turns clockwise on the left", "turns counterclockwise on the right"),
        ("an anti-clockwise turn, counter-clockwise", "an clockwise turn, clockwise"),
        (
            "stands upright right away, at a right angle, alright",
            "stands upright right away, at a right angle, alright",
        ),
        ("turns clock wise, then counter clock-wise", "turns counterclockwise, then clockwise"),
        ("a right-angled bend, his left-hand side", "a right-angled bend, his right-hand side"),
        ("both hands", "both hands"),
    ],
)
def test_words_of_a_side_change_places(said: str, twin: str) -> None:
    assert mirror_words(said) == twin


def test_mirroring_words_twice_gives_them_back() -> None:
    said = "Walks left then right, clockwise and counterclockwise, leftwards."
    assert mirror_words(mirror_words(said)) == said


def test_without_augmentation_nothing_changes(store: str) -> None:
    plain, off = MotionLanguageData(store, "joints"), data(store)
    for sample in range(2):
        one, other = (each.samples("pairs", "train", training=True)[sample, 3] for each in (plain, off))
        assert one.features.tobytes() == other.features.tobytes() and one[:3] == other[:3]
        np.testing.assert_array_equal(one.features, plain.store.read("joints", sample, 0, len(one.features)))


def test_a_mirrored_sample_is_the_twin_of_motion_and_words(store: str) -> None:
    plain = MotionLanguageData(store, "joints").samples("pairs", "train", training=True)[0, 0]
    twin = data(store, mirror=1.0).samples("pairs", "train", training=True)[0, 0]
    source, sign = mirror_columns("joints", SMPL22)
    np.testing.assert_array_equal(twin.features, plain.features[:, source.numpy()] * sign.numpy())
    assert twin.caption == "he raises the right arm." and twin.sentence != plain.sentence
    motion = data(store, mirror=1.0).samples("motion", "train", training=True)[0, 0]
    np.testing.assert_array_equal(motion.features, twin.features)
    assert data(store, mirror=1.0).samples("text", "train", training=True)[0, 0].caption == twin.caption


def test_samples_that_say_the_same_after_mirroring_share_a_sentence_number(store: str) -> None:
    """A caption without a side says the same of both twins."""
    plain, twin = (data(store, mirror=p).samples("pairs", "train", training=True)[1, 0] for p in (0.0, 1.0))
    assert plain.sentence == twin.sentence


def test_the_share_of_twins_is_the_probability_and_differs_by_epoch(store: str) -> None:
    samples = data(store, mirror=0.5).samples("pairs", "train", training=True)
    said = [samples[0, epoch].caption for epoch in range(200)]
    assert 70 < said.count("he raises the right arm.") < 130
    assert said == [samples[0, epoch].caption for epoch in range(200)]


def test_evaluation_is_never_augmented(store: str) -> None:
    wild = data(store, mirror=1.0, speed=0.5, noise=1.0)
    np.testing.assert_array_equal(wild.samples("pairs", "val")[0, 0].features, wild.store.read("joints", 0, 0, 90))
    assert wild.samples("pairs", "val")[0, 0].caption == "he raises the left arm."


def test_noise_has_the_asked_share_of_the_training_deviation(store: str) -> None:
    noisy = data(store, noise=0.1)
    _, deviation = noisy.store.statistics("joints")
    samples = noisy.samples("motion", "train", training=True)
    clean = noisy.store.read("joints", 0, 0, 90)
    rest = np.stack([samples[0, epoch].features - clean for epoch in EPOCHS]) / deviation
    assert rest.std() == pytest.approx(0.1, rel=0.01) and abs(rest.mean()) < 0.001
    np.testing.assert_array_equal(samples[0, 5].features, samples[0, 5].features)


def test_speed_changes_a_motions_length_within_its_limits(store: str) -> None:
    samples = data(store, speed=0.2).samples("motion", "train", training=True)
    lengths = [len(samples[0, epoch].features) for epoch in EPOCHS]
    assert min(lengths) >= 90 / 1.2 - 1 and max(lengths) <= 90 / 0.8 + 1
    assert max(lengths) > 95 and min(lengths) < 85
    assert samples.lengths.tolist() == [90, 60]  # batches go by the length as recorded


def test_a_crop_at_another_speed_is_as_long_as_max_frames_allows(store: str) -> None:
    varied = MotionLanguageData(store, "joints", max_frames=40, augmentation=Augmentation(speed=0.3))
    samples = varied.samples("motion", "train", training=True)
    assert {len(samples[0, epoch].features) for epoch in EPOCHS} == {40}


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_one_changes_nothing(store: str, kind: str) -> None:
    rows = torch.from_numpy(MotionLanguageData(store, kind).samples("motion", "train")[0, 0].features)
    assert change_speed(kind, rows, 1.0, SMPL22) is rows


@pytest.mark.parametrize("rate", [0.8, 1.25, 1.5])
def test_columns_at_another_speed_are_close_to_those_of_joints_at_that_speed(store: str, rate: float) -> None:
    """The body that is read back from the columns is where the faster body is, to 2 cm after 4 seconds."""
    samples = MotionLanguageData(store, "humanml3d").samples("motion", "train")
    rows = torch.from_numpy(samples[0, 0].features)
    fast = change_speed("humanml3d", rows, rate, SMPL22)
    assert len(fast) == int((len(rows) - 1) / rate) + 1
    expected = resample_positions(joints_from("humanml3d", rows, SMPL22), rate, 1.0)
    assert (joints_from("humanml3d", fast, SMPL22) - expected).norm(dim=-1).max() < 0.02
    assert set(fast[:, -4:].unique().tolist()) <= {0.0, 1.0}
    rotations = fast[:, 67:193].reshape(len(fast), -1, 6)
    torch.testing.assert_close(orthonormalise(rotations), rotations)


def test_double_speed_doubles_velocities() -> None:
    """A body that glides by 2 cm a frame glides by 4; nothing else moves."""
    root = torch.outer(torch.arange(50), torch.tensor([0.0, 0.0, 0.02])) + torch.tensor([0.0, 0.9, 0.0])
    glide = forward_kinematics(torch.eye(3).expand(50, 22, 3, 3), root, SMPL22)
    rows = compute("humanml3d", glide, SMPL22, 20.0)[:-1]
    fast = change_speed("humanml3d", rows, 2.0, SMPL22)
    velocities = [1, 2, *range(193, 259)]
    torch.testing.assert_close(fast[:, velocities], 2 * rows[: len(fast), velocities], atol=1e-6, rtol=0)
    others = [column for column in range(263) if column not in velocities]
    torch.testing.assert_close(fast[:, others], rows[: len(fast), others])


@pytest.mark.parametrize("settings", [{"mirror": 1.5}, {"mirror": -0.1}, {"speed": 0.9}, {"noise": -1.0}])
def test_values_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=rf"--data.augmentation.{name} {value:g}: it must be at least 0"):
        Augmentation(**settings)


def test_augmentation_is_off_by_default(tmp_path: Path) -> None:
    assert MotionLanguageData("nowhere").augmentation == OFF == Augmentation()
