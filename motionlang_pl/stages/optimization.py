"""AdamW with a learning rate per module, linear warm-up and cosine decay per step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from motionlang_pl.stages.base import Stage


@dataclass(frozen=True)
class Optimization:
    """How a stage is optimised.

    Args:
        lr: Peak learning rate.
        lr_of: Peak learning rate of single modules, by the name they have in the stage, e.g. ``{text_encoder: 1e-5}``.
        weight_decay: For matrices; never for biases, norms, embeddings of positions or temperatures.
        warmup: Share of all steps in which the rate rises linearly from zero.
        betas: AdamW's betas.
    """

    lr: float = 1e-4
    lr_of: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 0.01
    warmup: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)

    def configure(self, stage: Stage, steps: int) -> dict[str, Any]:
        """What ``configure_optimizers`` returns for a run of ``steps`` optimizer steps."""
        optimizer = AdamW(self.groups(stage), lr=self.lr, betas=self.betas)
        schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, self.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

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


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak rate at a step: linear up over the share ``warmup`` of all, then half a cosine to zero."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))
