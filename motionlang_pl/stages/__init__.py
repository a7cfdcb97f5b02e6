"""The stages: pretraining phases, each a LightningModule; importing this package makes their names known to the CLI."""

from motionlang_pl.stages.base import Stage
from motionlang_pl.stages.cmmm import CMMM
from motionlang_pl.stages.codebook import Codebook
from motionlang_pl.stages.lexcmlp import LexCMLP
from motionlang_pl.stages.lexmlm import LexMLM
from motionlang_pl.stages.lexmmm import LexMMM
from motionlang_pl.stages.mmp import MMP
from motionlang_pl.stages.retrieval import RetrievalStage

__all__ = ["CMMM", "MMP", "Codebook", "LexCMLP", "LexMLM", "LexMMM", "RetrievalStage", "Stage"]
