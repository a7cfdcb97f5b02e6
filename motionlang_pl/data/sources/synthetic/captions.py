"""A small grammar of English for the synthetic motions, with HumanML3D's tokens (`lemma/POS`) of every sentence.

Words are written `surface/POS`, or `surface/lemma/POS` where the two differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

SUBJECTS = (
    *("a/DET person/NOUN", "someone/PRON", "the/DET person/NOUN"),
    *("a/DET figure/NOUN", "the/DET figure/NOUN", "a/DET human/NOUN"),
)
JOINS = ("and/CCONJ then/ADV", "then/ADV", "and/CCONJ afterwards/ADV", "and/CCONJ next/ADV")

# Three wordings of each action; {hand} and the like are filled from the side, {way} from the direction.
VERBS: dict[str, tuple[str, str, str]] = {
    "walk": ("walks/walk/VERB {way}", "goes/go/VERB {way} on/ADP foot/NOUN", "takes/take/VERB steps/step/NOUN {way}"),
    "run": ("runs/run/VERB forward/ADV", "jogs/jog/VERB ahead/ADV", "is/be/AUX running/run/VERB straight/ADV on/ADV"),
    "sidestep": (
        "sidesteps/sidestep/VERB {way}",
        "steps/step/VERB sideways/ADV {way}",
        "shuffles/shuffle/VERB {way}",
    ),
    "turn": ("turns/turn/VERB {way}", "rotates/rotate/VERB {way}", "spins/spin/VERB around/ADV {way}"),
    "jump": ("jumps/jump/VERB {way}", "hops/hop/VERB {way}", "leaps/leap/VERB {way}"),
    "squat": (
        "squats/squat/VERB",
        "does/do/VERB squats/squat/NOUN",
        "bends/bend/VERB both/DET knees/knee/NOUN to/PART squat/VERB",
    ),
    "kick": (
        "kicks/kick/VERB with/ADP {foot}",
        "does/do/VERB a/DET kick/NOUN with/ADP {leg}",
        "swings/swing/VERB {leg} in/ADP a/DET kick/NOUN",
    ),
    "punch": (
        "punches/punch/VERB with/ADP {hand}",
        "throws/throw/VERB a/DET punch/NOUN with/ADP {hand}",
        "boxes/box/VERB with/ADP {fist}",
    ),
    "wave": (
        "waves/wave/VERB {hand}",
        "waves/wave/VERB with/ADP {arm}",
        "greets/greet/VERB by/ADP waving/wave/VERB {hand}",
    ),
    "raise": ("raises/raise/VERB {arm} {way}", "lifts/lift/VERB {arm} {way}", "puts/put/VERB {arm} up/ADV {way}"),
    "clap": (
        "claps/clap/VERB",
        "claps/clap/VERB both/DET hands/hand/NOUN",
        "hits/hit/VERB the/DET palms/palm/NOUN together/ADV",
    ),
    "bow": (
        "bows/bow/VERB",
        "takes/take/VERB a/DET bow/NOUN",
        "bends/bend/VERB the/DET body/NOUN forward/ADV to/PART bow/VERB",
    ),
    "throw": (
        "throws/throw/VERB something/PRON with/ADP {hand}",
        "throws/throw/VERB a/DET ball/NOUN with/ADP {arm}",
        "tosses/toss/VERB an/DET object/NOUN with/ADP {hand}",
    ),
    "lunge": (
        "lunges/lunge/VERB {way} with/ADP {leg}",
        "does/do/VERB a/DET lunge/NOUN {way} with/ADP {leg}",
        "steps/step/VERB into/ADP a/DET lunge/NOUN {way} on/ADP {leg}",
    ),
    "jack": (
        "does/do/VERB jumping/jump/VERB jacks/jack/NOUN",
        "performs/perform/VERB star/NOUN jumps/jump/NOUN",
        "jumps/jump/VERB while/SCONJ spreading/spread/VERB arms/arm/NOUN and/CCONJ legs/leg/NOUN",
    ),
    "march": (
        "marches/march/VERB in/ADP place/NOUN",
        "walks/walk/VERB on/ADP the/DET spot/NOUN",
        "steps/step/VERB in/ADP place/NOUN",
    ),
    "lean": (
        "leans/lean/VERB {way}",
        "bends/bend/VERB the/DET upper/ADJ body/NOUN {way}",
        "tilts/tilt/VERB the/DET torso/NOUN {way}",
    ),
    "circle": (
        "circles/circle/VERB {arm} {way}",
        "swings/swing/VERB {arm} in/ADP circles/circle/NOUN {way}",
        "makes/make/VERB {way} circles/circle/NOUN with/ADP {arm}",
    ),
    "sit": (
        "sits/sit/VERB down/ADV and/CCONJ stands/stand/VERB up/ADV",
        "takes/take/VERB a/DET seat/NOUN and/CCONJ gets/get/VERB up/ADV",
        "sits/sit/VERB on/ADP a/DET chair/NOUN and/CCONJ rises/rise/VERB",
    ),
    "kneel": (
        "kneels/kneel/VERB on/ADP {knee}",
        "goes/go/VERB down/ADV on/ADP {knee}",
        "drops/drop/VERB to/ADP {knee}",
    ),
}

LIMBS = {
    "hand": "hands/hand/NOUN",
    "arm": "arms/arm/NOUN",
    "fist": "fists/fist/NOUN",
    "foot": "feet/foot/NOUN",
    "leg": "legs/leg/NOUN",
    "knee": "knees/knee/NOUN",
}
WAYS: dict[str, tuple[str, ...]] = {
    "left": ("to/ADP the/DET left/NOUN", "leftwards/ADV", "towards/ADP the/DET left/ADJ side/NOUN"),
    "right": ("to/ADP the/DET right/NOUN", "rightwards/ADV", "towards/ADP the/DET right/ADJ side/NOUN"),
    "forward": ("forward/ADV", "forwards/ADV", "forward/ADV"),
    "backward": ("backward/ADV", "backwards/ADV", "backward/ADV"),
    "up": ("up/ADV", "upwards/ADV", "in/ADP place/NOUN"),
    "sideways": ("to/ADP the/DET side/NOUN", "sideways/ADV", "out/ADP to/ADP the/DET side/NOUN"),
}
SPEEDS: dict[str, tuple[str, ...]] = {
    "slow": ("slowly/ADV", "at/ADP a/DET slow/ADJ pace/NOUN", "without/ADP hurry/NOUN"),
    "fast": ("quickly/ADV", "at/ADP a/DET fast/ADJ pace/NOUN", "in/ADP a/DET hurry/NOUN"),
}
TIMES: dict[str, tuple[str, ...]] = {
    "1": ("once/ADV", "one/NUM time/NOUN", "a/DET single/ADJ time/NOUN"),
    "2": ("twice/ADV", "two/NUM times/time/NOUN", "two/NUM times/time/NOUN in/ADP a/DET row/NOUN"),
    "3": ("three/NUM times/time/NOUN", "thrice/ADV", "three/NUM times/time/NOUN in/ADP a/DET row/NOUN"),
}
AMOUNTS: dict[str, tuple[str, ...]] = {
    "quarter": ("by/ADP a/DET quarter/NOUN", "ninety/NUM degrees/degree/NOUN", "a/DET quarter/NOUN turn/NOUN"),
    "half": ("halfway/ADV around/ADV", "180/NUM degrees/degree/NOUN", "to/PART face/VERB the/DET back/NOUN"),
    "full": ("all/DET the/DET way/NOUN around/ADV", "360/NUM degrees/degree/NOUN", "in/ADP a/DET full/ADJ circle/NOUN"),
}
_SMALL = ("a/DET little/ADJ", "slightly/ADV", "just/ADV a/DET bit/NOUN")
_DEEP = ("deeply/ADV", "very/ADV low/ADV", "far/ADV down/ADV")
_HIGH = ("high/ADV", "very/ADV high/ADV", "as/ADV high/ADV as/ADP possible/ADJ")
_LOW = ("low/ADV", "not/PART very/ADV high/ADV", "near/ADP the/DET ground/NOUN")
_SHORT_STEPS = ("with/ADP short/ADJ steps/step/NOUN", "with/ADP small/ADJ steps/step/NOUN")
_LONG_STEPS = ("with/ADP long/ADJ steps/step/NOUN", "with/ADP big/ADJ strides/stride/NOUN")
_LOW_KNEES = ("with/ADP low/ADJ knees/knee/NOUN", "barely/ADV lifting/lift/VERB the/DET feet/foot/NOUN")
_HIGH_KNEES = ("with/ADP high/ADJ knees/knee/NOUN", "lifting/lift/VERB the/DET knees/knee/NOUN high/ADV")
_NARROW = ("gently/ADV", "with/ADP small/ADJ movements/movement/NOUN")
_WIDE = ("widely/ADV", "with/ADP big/ADJ movements/movement/NOUN")
SIZES: dict[str, dict[str, tuple[str, ...]]] = {
    "run": {"small": _SHORT_STEPS, "large": _LONG_STEPS},
    "jump": {"small": _LOW, "large": _HIGH},
    "squat": {"small": _SMALL, "large": _DEEP},
    "kick": {"small": _LOW, "large": _HIGH},
    "wave": {"small": _NARROW, "large": _WIDE},
    "bow": {"small": _SMALL, "large": _DEEP},
    "march": {"small": _LOW_KNEES, "large": _HIGH_KNEES},
    "lean": {"small": _SMALL, "large": ("far/ADV", "as/ADV far/ADV as/ADP possible/ADJ")},
}
_HOLD = ("and/CCONJ holds/hold/VERB still/ADV", "holding/hold/VERB the/DET pose/NOUN for/ADP a/DET moment/NOUN")
_STOP = ("stopping/stop/VERB midway/ADV", "with/ADP a/DET pause/NOUN in/ADP between/ADP")
_SEATED = (
    "after/ADP staying/stay/VERB seated/ADJ for/ADP a/DET moment/NOUN",
    "with/ADP a/DET rest/NOUN in/ADP between/ADP",
)
PAUSES = {"raise": _HOLD, "bow": _HOLD, "kneel": _HOLD, "sit": _SEATED}


class Sentence(NamedTuple):
    """caption: plain text.  tokens: HumanML3D's `lemma/POS`, separated by spaces."""

    caption: str
    tokens: str


def sentence(parts: Sequence[tuple[str, Mapping[str, str]]], wording: int, rng: np.random.Generator) -> Sentence:
    """Return a sentence about actions (name, traits) in sequence; `wording` (0 to 2) picks the verbs."""
    verbs = [_verb_phrase(action, traits, wording, rng) for action, traits in parts]
    words = " ".join((_one_of(SUBJECTS, rng), f" {_one_of(JOINS, rng)} ".join(verbs))).split()
    surfaces = [word.partition("/")[0] for word in words]
    lemmas = [word.partition("/")[2] if word.count("/") == 2 else word for word in words]
    return Sentence(" ".join(surfaces), " ".join(lemmas))


def _verb_phrase(action: str, traits: Mapping[str, str], wording: int, rng: np.random.Generator) -> str:
    way = _one_of(WAYS[traits["direction"]], rng) if "direction" in traits else ""
    if action == "circle":  # "makes forward circles": only the plain adverb fits everywhere
        way = WAYS[traits["direction"]][0]
    limbs = {limb: _limb(limb, plural, traits["side"]) for limb, plural in LIMBS.items() if "side" in traits}
    verb = VERBS[action][wording].format(way=way, **limbs)

    speed = traits.get("speed", "normal")
    if speed != "normal" and rng.random() < 1 / 3:
        verb = f"{SPEEDS[speed][0]} {verb}"
        speed = "normal"
    adverbs = [
        AMOUNTS.get(traits.get("amount", ""), ()),
        SIZES.get(action, {}).get(traits.get("amplitude", "normal"), ()),
        TIMES.get(traits.get("repetitions", ""), ()),
        SPEEDS.get(speed, ()),
        PAUSES.get(action, _STOP) if traits.get("pause") == "yes" else (),
    ]
    return " ".join((verb, *(_one_of(each, rng) for each in adverbs if each)))


def _limb(limb: str, plural: str, side: str) -> str:
    return f"both/DET {plural}" if side == "both" else f"the/DET {side}/ADJ {limb}/NOUN"


def _one_of(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
