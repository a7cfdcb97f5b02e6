"""How a stage is optimised, chosen by class_path: AdamW with warm-up and cosine decay, or MoLang's warm restarts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from motionlang_pl.stages.base import Stage


class Optimization:
    """AdamW, linear warm-up and cosine decay per step, with a learning rate per module.

    Args:
        lr: Peak learning rate.
        lr_of: Peak learning rate of single modules, by the name they have in the stage, e.g. ``{text_encoder: 1e-5}``.
        weight_decay: For matrices (also of positions and codewords), never for biases, norms or temperatures.
        warmup: Share of all steps in which the rate rises linearly from zero.
        betas: AdamW's betas.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        lr_of: dict[str, float] | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.05,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.lr = lr
        self.lr_of = lr_of or {}
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.betas = betas

    def configure(self, stage: Stage, steps: int) -> dict[str, Any]:
        """What ``configure_optimizers`` returns for a run of ``steps`` optimizer steps."""
        optimizer = AdamW(self.groups(stage), lr=self.lr, betas=self.betas)
        schedule = LambdaLR(optimizer, lambda step: self.factor(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def factor(self, step: int, steps: int) -> float:
        """Factor on the peak rates at a step of a run of ``steps``."""
        return warmup_cosine(step, steps, self.warmup)

    def groups(self, stage: nn.Module) -> list[dict[str, Any]]:
        """One group per module and kind of parameter; frozen parameters are left out."""
        modules = dict(stage.named_children())
        if unknown := sorted(set(self.lr_of) - set(modules)):
            raise ValueError(
                f"optimization.lr_of: {', '.join(unknown)}: no such module; this stage has {', '.join(modules)}"
            )
        groups = []
        for name, module in modules.items():
            parameters = [p for p in module.parameters() if p.requires_grad]
            for kind, decay in (("matrices", self.weight_decay), ("vectors", 0.0)):
                chosen = [p for p in parameters if (p.ndim > 1) == (kind == "matrices")]
                if chosen:
                    lr = self.lr_of.get(name, self.lr)
                    groups.append({"params": chosen, "lr": lr, "weight_decay": decay, "name": f"{name}/{kind}"})
        return groups

    def refuse_others(self, stage: nn.Module, groups: list[dict[str, Any]]) -> None:
        """Raise ValueError where a saved optimizer's groups have other rates or weight decay than are configured."""
        for mine, theirs in zip(self.groups(stage), groups, strict=True):
            for key, there in (
                ("lr", theirs.get("initial_lr", theirs["lr"])),
                ("weight_decay", theirs["weight_decay"]),
            ):
                if mine[key] != there:
                    raise ValueError(
                        f"--ckpt_path: {mine['name']} began with {key} {there:g}, the config says {mine[key]:g}, and a "
                        "resume keeps what it began with: give that, or start afresh with init_from"
                    )


class ConstantRate(Optimization):
    """AdamW at the same rate throughout (TMR, Petrovich et al. 2023).

    Args:
        lr: Learning rate.
        lr_of: Learning rate of single modules.
        weight_decay: As `Optimization`'s.
        betas: AdamW's betas.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        lr_of: dict[str, float] | None = None,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(lr, lr_of, weight_decay, warmup=0.0, betas=betas)

    def configure(self, stage: Stage, steps: int) -> dict[str, Any]:
        """What ``configure_optimizers`` returns; how many steps there are changes nothing."""
        return {"optimizer": AdamW(self.groups(stage), lr=self.lr, betas=self.betas)}


class WarmRestarts(Optimization):
    """Adam and a cosine that starts again at the peak every few epochs (MoLang, Kim et al. 2023, sec. 4.2; SGDR 2017).

    Without warm-up and weight decay; the rate changes once per epoch.

    Args:
        lr: Peak learning rate.
        lr_of: Peak learning rate of single modules; they fall by the same share as `lr`.
        lowest: What `lr` falls towards (eta_min).
        period: Epochs from one start to the next (T_0, with T_mult 1).
        betas: Adam's betas.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        lr_of: dict[str, float] | None = None,
        lowest: float = 7e-5,
        period: int = 20,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(lr, lr_of, weight_decay=0.0, warmup=0.0, betas=betas)
        self.lowest = lowest
        self.period = period

    def configure(self, stage: Stage, steps: int) -> dict[str, Any]:
        """What ``configure_optimizers`` returns; how many steps there are changes nothing."""
        if not 0 < self.lowest <= self.lr or self.period < 1:
            raise ValueError(
                f"optimization: lowest {self.lowest:g} must lie between 0 and lr {self.lr:g}, and period {self.period} "
                "be at least 1; give all three"
            )
        optimizer = Adam(self.groups(stage), lr=self.lr, betas=self.betas)
        schedule = LambdaLR(optimizer, lambda epoch: restarted_cosine(epoch, self.period, self.lowest / self.lr))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


class HalfCosine(Optimization):
    """AdamW and half of a cosine: the rate falls from the peak to half of it, without warm-up.

    MotionPatches' and MotionColBert's code gives the cosine twice the steps that a run has. Without weight decay it is
    the Adam of MotionPatches.

    Args:
        lr: Peak learning rate.
        lr_of: Peak learning rate of single modules.
        weight_decay: As in `Optimization`.
        betas: AdamW's betas.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        lr_of: dict[str, float] | None = None,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(lr, lr_of, weight_decay, warmup=0.0, betas=betas)

    def factor(self, step: int, steps: int) -> float:
        """Factor on the peak rates at a step of a run of ``steps``."""
        return 0.5 * (1 + math.cos(math.pi * step / (2 * max(1, steps))))


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak rate at a step: linear up over the share ``warmup`` of all, then half a cosine to zero."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def restarted_cosine(epoch: int, period: int, lowest: float) -> float:
    """Factor on the peak rate in an epoch: half a cosine from 1 towards `lowest`, from 1 every `period` epochs."""
    return lowest + 0.5 * (1 - lowest) * (1 + math.cos(math.pi * (epoch % period) / period))
