"""Numbers that must not change unnoticed: each stage's first losses at a fixed seed, and what dependencies compute.

After a change that is meant, `python tests/test_goldens.py` writes goldens.csv anew, and CHANGELOG.md says why.

Another processor sums floats in another order, and Adam, which divides a gradient by its own size, makes much of it:
with ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE in place of AVX2 the first step's numbers
move by 4e-7 of their size at most, the second's by 8e-5, the third's by 2e-3.  A change of behaviour moves them more:
TMR's KL weight 2e-5 in place of 1e-5 by 7e-5 at the first step, LexCMLP's temperature 0.0701 in place of 0.07 by 2e-4
there, its learning rate a hundredth higher by 1e-3 at the second.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
import roma
import torch
from conftest import PARTS, VARIANTS, column, fit_arguments, logged, synthetic_store
from entmax import sparsemax
from torch import Tensor
from transformers import AutoConfig, AutoModel

from motionlang_pl.cli import main
from motionlang_pl.data.wordpiece import train_wordpiece
from motionlang_pl.models.tokenizer import Tokenizer

FILE = Path(__file__).with_name("goldens.csv")
STAGES = (*PARTS, *VARIANTS)
TOLERANCES = (1e-5, 3e-4, 5e-3)  # of the steps' numbers, see above
RENEW = (
    "If the change is meant: renew the numbers with `python tests/test_goldens.py` and say in CHANGELOG.md what "
    "changed them (if all stages did, look at the dependencies' numbers first)."
)
Goldens = dict[tuple[str, str], list[float]]


# ---- what is computed ------------------------------------------------------------------------------------------------


def stage_numbers(store: Path, runs: Path) -> Goldens:
    """The loss and its parts in the first steps of each stage, without hand-over."""
    numbers = {}
    for stage in STAGES:
        main(
            fit_arguments(
                stage,
                store,
                runs,
                "--model.init_args.init_from=[]",
                "--data.batch_size=8",
                f"--trainer.max_steps={len(TOLERANCES)}",
                "--trainer.limit_val_batches=0",
                "--trainer.log_every_n_steps=1",
            )
        )
        numbers |= {(stage, name): column(runs / stage, name) for name in logged(runs / stage, "train/")}
    return numbers


def dependency_numbers() -> Goldens:
    """What other libraries make of fixed numbers."""
    return {
        ("torch", "randn"): torch.randn(32, generator=torch.Generator().manual_seed(0))[-4:].tolist(),
        ("torch", "randperm"): torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist(),
        **{("transformers", family): _last_state(family) for family in ("bert", "roberta", "distilbert", "vit")},
        ("tokenizers", "ids"): _ids("walks", "he walks backwards, then walked back", "she walks"),
        ("entmax", "sparsemax"): sparsemax(torch.tensor([1.0, 0.8, 0.1, -1.0])).tolist(),
        ("roma", "gram-schmidt"): roma.special_gramschmidt(_waves(3, 2)).flatten().tolist(),
        ("roma", "rotation of a vector"): roma.rotvec_to_rotmat(_waves(3)).flatten().tolist(),
        ("roma", "vector of a rotation"): roma.rotmat_to_rotvec(roma.euler_to_rotmat("ZXY", list(_waves(3)))).tolist(),
        ("roma", "rotation of a quaternion"): roma.unitquat_to_rotmat(torch.tensor([0.5, -0.5, 0.1, 0.7])).tolist()[0],
        ("roma", "procrustes"): roma.special_procrustes(_waves(3, 3)).flatten().tolist(),
    }


def _waves(*shape: int, phase: int = 0) -> Tensor:
    """Numbers between -1 and 1 by a formula, the same whatever draws random numbers."""
    count = torch.Size(shape).numel()
    return torch.sin(1.3 * torch.arange(count, dtype=torch.float64) + phase + 1).float().view(shape)


def _last_state(family: str) -> list[float]:
    """The last token's state by a transformer of four wide, its weights by a formula, its padding masked."""
    small = dict.fromkeys(("hidden_size", "dim", "intermediate_size", "hidden_dim"), 4)
    heads = dict.fromkeys(("num_attention_heads", "n_heads", "num_hidden_layers", "n_layers"), 2)
    config = AutoConfig.for_model(family, **small, **heads, vocab_size=9, image_size=32)
    model = AutoModel.from_config(config).eval()
    for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
        parameter.data = _waves(*parameter.shape, phase=number)
    if family == "vit":
        states = model(_waves(1, 3, 32, 32)).last_hidden_state
    else:
        ids, mask = torch.tensor([[3, 8, 5, 6, 1, 1]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :4]
    last: list[float] = states[0, -1].tolist()
    return last


def _ids(*captions: str) -> list[float]:
    return Tokenizer(train_wordpiece(captions))(list(captions)).ids.flatten().tolist()


# ---- against the file ------------------------------------------------------------------------------------------------


def read() -> Goldens:
    with FILE.open(newline="") as file:
        return {(of, name): [float(value) for value in rest] for of, name, *rest in csv.reader(file)}


def write(numbers: Goldens) -> None:
    with FILE.open("w", newline="") as file:
        rows = ([of, name, *(f"{value:.8g}" for value in values)] for (of, name), values in numbers.items())
        csv.writer(file, lineterminator="\n").writerows(rows)


def compare(found: Goldens, expected: Goldens) -> None:
    """Every golden number is found again; a stage's within its step's tolerance, a dependency's within the first."""
    assert expected and found.keys() >= expected.keys(), f"{sorted(expected.keys() - found.keys())} are gone.\n{RENEW}"
    changed = [
        f"{of} {name}: {value:.8g}, golden {golden:.8g}"
        for (of, name), values in expected.items()
        for step, (value, golden) in enumerate(zip(found[of, name], values, strict=True))
        if value != pytest.approx(golden, rel=TOLERANCES[step] if of in STAGES else TOLERANCES[0], abs=5e-6)
    ]
    assert not changed, "\n".join((*changed, RENEW))


def of(whose: str) -> Goldens:
    return {key: values for key, values in read().items() if key[0] == whose}


@pytest.fixture(scope="module")
def found(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Goldens:
    return stage_numbers(synthetic, tmp_path_factory.mktemp("goldens"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_begins_as_it_did(found: Goldens, stage: str) -> None:
    compare(found, of(stage))


@pytest.mark.parametrize("library", ["torch", "transformers", "tokenizers", "entmax", "roma"])
def test_a_dependency_computes_what_it_did(library: str) -> None:
    compare(dependency_numbers(), of(library))


def test_a_changed_number_is_named_with_the_way_to_renew_it() -> None:
    with pytest.raises(
        AssertionError, match=r"mmp train/loss: 1.1, golden 1\n.*python tests/test_goldens.py.*CHANGELOG"
    ):
        compare({("mmp", "train/loss"): [1.1]}, {("mmp", "train/loss"): [1.0]})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        store = synthetic_store(Path(folder) / "store")
        write(dependency_numbers() | stage_numbers(store, Path(folder) / "runs"))
