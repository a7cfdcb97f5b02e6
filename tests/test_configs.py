"""Every YAML that is shipped parses and instantiates, at every size."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import PARTS, ROOT, fit_arguments

from motionlang_pl.cli import main

SIZES = ("tiny", "small", "paper")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stage", PARTS)
def test_a_stage_parses_and_instantiates_at_every_size(
    stage: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from motionlang_pl.training import MotionLanguageCLI

    fitted = []
    monkeypatch.setattr(MotionLanguageCLI, "_run_subcommand", lambda self, name: fitted.append(self.model))
    main(fit_arguments(stage, tmp_path, tmp_path, "--trainer.precision=32-true", size=size))
    assert type(fitted[0]).__name__.lower() == stage


TRUNK = {"width": 768, "depth": 10, "heads": 12, "feedforward": 1024, "dropout": 0.1, "graph_after": 4}
RESTARTS = {"lr": 1e-4, "lowest": 7e-5, "period": 20, "betas": (0.9, 0.999)}
HALF = {"lr": 1e-4, "weight_decay": 0.0, "lr_of": {"text_encoder": 1e-5, "word_embeddings": 1e-5}}
LOADERS = {"tmr": "TMR", "tmrlexical": "TMR", "dense": "MoPatch", "denselexical": "MoPatch", "maxsim": "MoPatch"}
PUBLISHED = {  # batch, epochs and what the model is built with; docs/stages.md has the sources, and says what is ours
    "mmp": (512, None, {"longest_span": 30, "motion_encoder": TRUNK, "optimization": RESTARTS}),
    "cmmm": (256, 200, {"ratio": 0.6, "contrast": 1.0, "temperature": 0.1, "motion_encoder": TRUNK}),
    "lexmlm": (256, 20, {"encoder_rate": 0.3, "decoder_rate": 0.5, "decoder_depth": 2, "optimization": {"lr": 5e-5}}),
    "lexmmm": (128, 50, {"decoder_rate": 0.5, "decoder_depth": 2, "frame_stride": 4, "optimization": {"lr": 1e-4}}),
    "lexcmlp": (128, 50, {"temperature": 0.07, "flops_text": 3e-4, "flops_motion": 1e-4, "motion_encoder": TRUNK}),
    "codebook": (128, 50, {"codewords": 1024, "code_width": 256, "sparsity_start": 5.0, "motion_encoder": TRUNK}),
    "cstar": (512, None, {"reconstruction": 10.0, "text": {"name": "bert-base-uncased"}, "optimization": RESTARTS}),
    "tmr": (32, 500, {"kl": 1e-5, "closeness": 1e-5, "contrast": 0.1, "temperature": 0.1}),
    "tmrlexical": (32, 500, {"text": {"name": "distilbert-base-uncased"}, "optimization": {"lr": 1e-4}}),
    "dense": (128, 50, {"width": 256, "dropout": 0.5, "temperature": 0.07, "optimization": HALF}),
    "denselexical": (128, 50, {"temperature": 0.07, "optimization": HALF}),
    "maxsim": (128, 60, {"width": 256, "masked_words": 0.2, "rate": 0.15, "optimization": {"weight_decay": 0.1}}),
}


@pytest.mark.parametrize("stage", PARTS)
def test_the_size_paper_is_what_was_published(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from motionlang_pl.training import MotionLanguageCLI

    configs = []
    monkeypatch.setattr(MotionLanguageCLI, "_run_subcommand", lambda self, name: configs.append(self.config[name]))
    main(fit_arguments(stage, tmp_path, tmp_path, size="paper"))
    batch, epochs, model = PUBLISHED[stage]
    config = configs[0].as_dict()
    assert config["data"]["batch_size"] == batch
    assert epochs in (None, config["trainer"]["max_epochs"])
    loader = (config["data"]["loader"] or {}).get("class_path", "")
    assert loader.rpartition(".")[2] == LOADERS.get(stage, "")
    for name, value in model.items():
        found = config["model"]["init_args"][name]
        for key, expected in value.items() if isinstance(value, dict) else [("", value)]:
            assert (found.get("init_args", found)[key] if key else found) == expected, f"{name} {key}"


@pytest.mark.parametrize("size", SIZES)
def test_a_size_has_files_of_parts_and_stages_only(size: str) -> None:
    assert {file.stem for file in (ROOT / "configs" / size).glob("*.yaml")} <= {
        "run",
        "motion",
        "text",
        "trained_text",
        "image",
        "frames",
        *PARTS,
    }


def test_every_stage_has_its_yaml_module_test_and_section() -> None:
    docs = (ROOT / "docs/stages.md").read_text()
    for stage in PARTS:
        assert (ROOT / f"stages/{stage}.yaml").is_file()
        assert (ROOT / f"motionlang_pl/stages/{stage}.py").is_file()
        assert (ROOT / f"tests/stages/test_{stage}.py").is_file()
        assert f"\n## {stage}\n" in docs
