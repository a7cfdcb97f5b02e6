"""The stages: pretraining phases, each a LightningModule; importing this package makes their names known to the CLI."""

from motionlang_pl.stages.base import Stage
from motionlang_pl.stages.cmmm import CMMM
from motionlang_pl.stages.codebook import Codebook
from motionlang_pl.stages.cstar import CstAR
from motionlang_pl.stages.dense import Dense
from motionlang_pl.stages.denselexical import DenseLexical
from motionlang_pl.stages.lexcmlp import LexCMLP
from motionlang_pl.stages.lexmlm import LexMLM
from motionlang_pl.stages.lexmmm import LexMMM
from motionlang_pl.stages.maxsim import MaxSim
from motionlang_pl.stages.mmp import MMP
from motionlang_pl.stages.retrieval import RetrievalStage
from motionlang_pl.stages.tmr import TMR
from motionlang_pl.stages.tmrlexical import TMRLexical

__all__ = [
    "CMMM",
    "MMP",
    "TMR",
    "Codebook",
    "CstAR",
    "Dense",
    "DenseLexical",
    "LexCMLP",
    "LexMLM",
    "LexMMM",
    "MaxSim",
    "RetrievalStage",
    "Stage",
    "TMRLexical",
]
