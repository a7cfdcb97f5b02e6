from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from motionlang_pl.cli import main
from motionlang_pl.data.store import Store
from motionlang_pl.stages.handover import file_sha256
from motionlang_pl.tools.evaluate import evaluate
from motionlang_pl.tools.explain import explain
from motionlang_pl.tools.vectors import encode, open_data, pairs, retrieval_stage


def changed(store: Path, folder: Path, **meta: object) -> Path:
    """A copy of a store whose description says something else."""
    shutil.copytree(store, folder)
    described = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**described, **meta}))
    return folder


@pytest.mark.parametrize("stage", ["lexcmlp", "codebook"])
def test_the_report_holds_every_protocol_with_chance_and_where_it_comes_from(
    stage: str, chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = chain / stage / "best.ckpt"
    evaluate(checkpoint, synthetic, json=tmp_path / "deep" / "report.json", plots=tmp_path, batch_size=8)
    report = json.loads((tmp_path / "deep" / "report.json").read_text())
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["report.json"]
    assert report["stage"].lower() == stage and report["seed"] == 0 and report["split"] == "test"
    assert report["checkpoint_sha256"] == file_sha256(checkpoint)
    assert report["data_sha256"] == Store.open(synthetic).fingerprint
    for protocol in ("diagonal", "identical"):
        numbers = report["protocols"][protocol]
        keys = {f"{way}/{name}" for way in ("t2m", "m2t") for name in ("R@1", "R@2", "R@3", "R@5", "R@10", "MedR")}
        assert keys <= set(numbers) and keys == set(numbers["chance"])
        assert numbers["chance"]["t2m/R@10"] >= min(100, 1000 / numbers["N"]) - 1
    distinct = report["protocols"]["distinct"]
    parts = [distinct[name]["sentences"] for name in ("seen", "unseen") if name in distinct]
    assert distinct["all"]["sentences"] == distinct["gallery"]["sentences"] == sum(parts)
    each = distinct["each_sentence"]
    assert len(each["seen"]) == len(each["t2m/mAP"]) == sum(parts)
    assert sum(each["t2m/mAP"]) / sum(parts) == pytest.approx(distinct["all"]["t2m/mAP"])
    assert ("terms" in report) == (stage == "lexcmlp")
    assert (tmp_path / "heat_map.png").stat().st_size > 1000
    printed = capsys.readouterr().out
    for text in ("diagonal", "identical", "protocol distinct", "m2t chance", "MedR"):
        assert text in printed
    assert ("term grounding" in printed) == (stage == "lexcmlp")


def test_a_few_samples_are_enough_and_seen_ones_are_seen(chain: Path, synthetic: Path, tmp_path: Path) -> None:
    evaluate(chain / "lexcmlp/best.ckpt", synthetic, split="train", limit=3, json=tmp_path / "report.json")
    protocols = json.loads((tmp_path / "report.json").read_text())["protocols"]
    assert protocols["diagonal"]["N"] == 3
    assert set(protocols["distinct"]) == {"name", "gallery", "all", "seen", "each_sentence"}


def test_a_sentence_encoder_adds_tmrs_protocol_with_a_threshold(
    chain: Path, synthetic: Path, sentence_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--checkpoint", f"{chain}/lexcmlp/best.ckpt", "--store", str(synthetic), "--device", "cpu"]
    main(["evaluate", *options, "--similar-by", str(sentence_encoder), "--json", str(tmp_path / "report.json")])
    protocols = json.loads((tmp_path / "report.json").read_text())["protocols"]
    assert protocols["similar"]["N"] == protocols["identical"]["N"]
    # more sentences are similar than equal, so even a random order finds one sooner
    assert protocols["similar"]["chance"]["t2m/R@1"] > protocols["identical"]["chance"]["t2m/R@1"]
    assert "similar " in capsys.readouterr().out


def test_a_papers_test_set_is_named_and_counted(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", str(chain / "lexcmlp/best.ckpt"), "--store", str(synthetic), "--mirrored", "false"]
    main(["evaluate", *arguments, "--loader", "MoPatch", "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    clips = Store.open(synthetic).meta["splits"]["test"]["clips"]
    assert (report["loader"], report["N"], report["mirrored"]) == ("MoPatch", clips, 0)
    assert report["protocols"]["diagonal"]["name"] == "diagonal/MoPatch"
    printed = capsys.readouterr().out
    assert f"loader MoPatch: {clips} samples, 0 of them mirrored" in printed and "identical/MoPatch" in printed
    with pytest.raises(SystemExit):
        main(["evaluate", *arguments, "--loader", "mopatch"])
    assert "Every" in capsys.readouterr().err


def test_vectors_do_not_depend_on_the_batches(chain: Path, synthetic: Path) -> None:
    stage = retrieval_stage(chain / "lexcmlp/best.ckpt", "cpu")
    samples = pairs(open_data(stage, synthetic), "test")
    one, many = encode(stage, samples, 1), encode(stage, samples, 64)
    assert one.captions == many.captions == [captions[0] for captions in samples.captions]
    torch.testing.assert_close(one.motion, many.motion, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.text, many.text, rtol=1e-4, atol=1e-5)


def test_explain_shows_terms_and_writes_a_page(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain(chain / "lexcmlp/best.ckpt", synthetic, clips=3, terms=4, html=tmp_path / "page.html")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[-1] == f"animated skeletons: {tmp_path / 'page.html'}"
    assert all(len(line.split(", ")) <= 4 for line in lines[1:6:2])
    assert lines[1].strip() in (tmp_path / "page.html").read_text()


def test_an_output_that_cannot_be_written_is_said_before_any_work(chain: Path, synthetic: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    common = ["--checkpoint", str(chain / "nowhere.ckpt"), "--store", str(synthetic)]
    for command, option, path, said in (
        ("evaluate", "--json", tmp_path, "a folder; give a file"),
        ("evaluate", "--json", tmp_path / "file/r.json", "file: File exists"),
        ("evaluate", "--plots", tmp_path / "file", "file: File exists"),
        ("explain", "--html", tmp_path / "file/page.html", "file: File exists"),
    ):
        with pytest.raises(SystemExit, match=said):
            main([command, *common, option, str(path)])


def test_counts_below_1_are_refused(chain: Path, synthetic: Path) -> None:
    common = ["--checkpoint", str(chain / "lexcmlp/best.ckpt"), "--store", str(synthetic)]
    for command, option in (
        ("evaluate", "batch_size"),
        ("evaluate", "limit"),
        ("explain", "clips"),
        ("explain", "terms"),
    ):
        with pytest.raises(SystemExit, match=f"--{option} 0: give a number of at least 1"):
            main([command, *common, f"--{option}=0"])


def test_what_cannot_be_evaluated_is_said_in_one_line(chain: Path, synthetic: Path, tmp_path: Path) -> None:
    lexcmlp = chain / "lexcmlp/best.ckpt"
    for stage in ("mmp", "lexmlm", "lexmmm"):
        with pytest.raises(
            ValueError, match="is a pretraining stage and cannot retrieve; give a checkpoint of LexCMLP"
        ):
            evaluate(chain / stage / "best.ckpt", synthetic)
    with pytest.raises(ValueError, match="Codebook has no weights of terms"):
        explain(chain / "codebook/best.ckpt", synthetic)
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        evaluate(tmp_path / "best.ckpt", synthetic)
    with pytest.raises(ValueError, match=r"--device nowhere: .*; give auto, cpu or cuda"):
        evaluate(lexcmlp, synthetic, device="nowhere")
    with pytest.raises(FileNotFoundError, match="no such store"):
        evaluate(lexcmlp, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no split 'dev'; it has train"):
        evaluate(lexcmlp, synthetic, split="dev")
    with pytest.raises(ValueError, match="no split 'dev' for --splits_seen"):
        evaluate(lexcmlp, synthetic, splits_seen="dev", limit=2)
    with pytest.raises(ValueError, match="has the skeleton mmm21, the checkpoint was trained on smpl22"):
        evaluate(lexcmlp, changed(synthetic, tmp_path / "skeleton", skeleton="mmm21"))
    with pytest.raises(ValueError, match=r"has 12.5 frames per second, the checkpoint was trained at 20"):
        evaluate(lexcmlp, changed(synthetic, tmp_path / "fps", fps=12.5))
    with pytest.raises(ValueError, match=r"has the feature kinds \(none\), the checkpoint reads humanml3d"):
        evaluate(lexcmlp, changed(synthetic, tmp_path / "kinds", kinds={}))
