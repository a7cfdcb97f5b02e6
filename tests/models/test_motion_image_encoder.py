"""A ViT on motion images: from a folder it computes what transformers does, it travels as text, padding has no say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.motion_image_encoder import (
    ImageMotion,
    MotionImageEncoder,
    PretrainedViT,
    SmallViT,
    WholeImageMotion,
)
from motionlang_pl.models.motion_images import AngleImages, ChainImages

ANGLES = MotionSpec("angles", "smpl22", 20.0, torch.zeros(29), torch.ones(29))
JOINTS = MotionSpec("joints", "smpl22", 20.0, torch.zeros(66), torch.ones(66))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def saved(folder: Path, **changes: int) -> tuple[Path, ViTModel]:
    """A tiny ViT for 224 x 224 photographs, as `save_pretrained` writes it."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, **changes}
    model = ViTModel(ViTConfig(**sizes)).eval()
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture
def pretrained(tmp_path: Path) -> tuple[Path, ViTModel]:
    return saved(tmp_path / "vit")


def test_a_vit_from_a_folder_gives_the_states_of_its_patches(pretrained: tuple[Path, ViTModel]) -> None:
    folder, model = pretrained
    encoder = PretrainedViT(str(folder)).first((224, 224)).eval()
    images = noise(2, 3, 224, 224)
    encoding = encoder(images, torch.ones(2, 224, dtype=torch.bool))
    states = model(images).last_hidden_state[:, 1:]
    torch.testing.assert_close(encoding.tokens, states)
    torch.testing.assert_close(encoding.summary, states.mean(dim=1))
    assert encoder.patches == 196 and encoding.mask.all()


def test_positions_are_interpolated_as_transformers_interpolates_them(pretrained: tuple[Path, ViTModel]) -> None:
    folder, model = pretrained
    encoder = PretrainedViT(str(folder)).first((224, 80)).eval()
    images = noise(2, 3, 224, 80)
    expected = model(images, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
    encoding = encoder(images, torch.ones(2, 224, dtype=torch.bool))
    torch.testing.assert_close(encoding.tokens, expected, rtol=1e-4, atol=1e-5)
    assert encoder.patches == 70


def test_an_encoder_is_built_again_from_its_spec_without_the_folder(pretrained: tuple[Path, ViTModel]) -> None:
    folder, _ = pretrained
    motion = ImageMotion(ChainImages, PretrainedViT(str(folder)))
    first = motion.build(JOINTS)
    shutil.rmtree(folder)
    again = motion.build(first.spec)
    again.encoder.load_state_dict(first.encoder.state_dict())
    seen = Motion(noise(2, 50, 66), torch.ones(2, 50, dtype=torch.bool))
    encodings = [motion.encode(parts.adapter.eval(), parts.encoder.eval(), seen) for parts in (first, again)]
    torch.testing.assert_close(*encodings)


def test_only_patches_with_a_frame_are_real() -> None:
    encoder = SmallViT(16, 1, 2, 16).first(ChainImages.size).eval()
    mask = torch.arange(224) < torch.tensor([[224], [33], [0]])
    tokens, real, summary = encoder(noise(3, 3, 224, 80), mask)
    assert real.sum(dim=1).tolist() == [14 * 5, 3 * 5, 0]
    assert real[1, :15].all()  # patches of a row of frames stand together
    assert tokens[1, 15:].count_nonzero() == 0
    torch.testing.assert_close(summary[1], tokens[1, :15].mean(dim=0))
    assert torch.equal(summary[2], torch.zeros(16))


@pytest.mark.parametrize(("images", "spec"), [(ChainImages, JOINTS), (AngleImages, ANGLES)])
def test_padding_does_not_change_an_encoding(images: type, spec: MotionSpec) -> None:
    motion = ImageMotion(images, SmallViT(16, 1, 2, 16))
    parts = motion.build(spec)
    features = noise(2, 90, len(spec.mean))
    mask = torch.arange(90) < torch.tensor([[37], [90]])
    company = motion.encode(parts.adapter.eval(), parts.encoder.eval(), Motion(features, mask))
    alone = motion.encode(parts.adapter, parts.encoder, Motion(features[:1, :37], mask[:1, :37]))
    for whole, one in zip(company, alone, strict=True):
        torch.testing.assert_close(whole[:1], one, rtol=0, atol=1e-5)


def test_a_whole_image_has_all_its_patches_and_padding_does_not_change_it_either() -> None:
    motion = WholeImageMotion(ChainImages, SmallViT(16, 1, 2, 16))
    parts = motion.build(JOINTS)
    features = noise(1, 90, 66)
    mask = torch.arange(90)[None] < 37
    tokens, real, summary = motion.encode(parts.adapter.eval(), parts.encoder.eval(), Motion(features, mask))
    assert real.all() and tokens.ne(0).any(dim=-1).all()
    torch.testing.assert_close(summary[0], tokens[0].mean(dim=0))
    alone = motion.encode(parts.adapter, parts.encoder, Motion(features[:, :37], mask[:, :37]))
    torch.testing.assert_close(alone.tokens, tokens)


def test_what_follows_a_motions_end_in_a_whole_image_is_the_mean_pose() -> None:
    motion = WholeImageMotion(AngleImages, SmallViT(16, 1, 2, 16))
    spec = ANGLES._replace(mean=torch.full((29,), 0.5))
    parts = motion.build(spec)
    features, longer = noise(1, 37, 29), spec.mean.expand(1, 224, 29).clone()
    longer[:, :37] = features
    short = motion.encode(parts.adapter.eval(), parts.encoder.eval(), Motion(features, torch.ones(1, 37).bool()))
    padded = motion.encode(parts.adapter, parts.encoder, Motion(longer, torch.ones(1, 224).bool()))
    torch.testing.assert_close(short.tokens, padded.tokens)


def test_a_folder_that_is_no_suitable_vit_says_so(tmp_path: Path) -> None:
    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=8, **config)).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match=r"bert: a bert model; choose a ViT"):
        PretrainedViT(str(tmp_path / "bert")).first((224, 224))
    folder, _ = saved(tmp_path / "coarse", patch_size=32)
    with pytest.raises(ValueError, match=r"coarse: patches of 32 and 3 channels"):
        PretrainedViT(str(folder)).first((224, 224))
    folder, _ = saved(tmp_path / "vit")
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"vit: not a complete model .*config.json and model.safetensors"):
        PretrainedViT(str(folder)).first((224, 224))


def test_an_encoder_for_images_without_channels_is_refused() -> None:
    config = ViTConfig(num_channels=1, image_size=[224, 80])
    with pytest.raises(ValueError, match="1 channels"):
        MotionImageEncoder(config.to_json_string(use_diff=False))
