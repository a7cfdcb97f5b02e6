"""Text encoders: transformers' masked language models taken apart into word embeddings, encoder and lexical head.

The three are modules of their own because stages tie, freeze and hand them over one by one.
"""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig, PreTrainedConfig

from motionlang_pl.data.batch import TextSpec
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.heads import LexicalHead
from motionlang_pl.models.pretrained import config_text, first_line, not_found, quiet
from motionlang_pl.models.tokenizer import Tokenizer, Tokens
from motionlang_pl.models.transformer import check_heads


class _Names(NamedTuple):
    """What a family of models calls its feed-forward width, its dropouts and the two modules of its output head."""

    feedforward: str
    dropouts: tuple[str, str]
    dense: str
    norm: str


_BERT = ("intermediate_size", ("hidden_dropout_prob", "attention_probs_dropout_prob"))
_FAMILIES = {
    "bert": _Names(*_BERT, "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
    "roberta": _Names(*_BERT, "lm_head.dense", "lm_head.layer_norm"),
    "distilbert": _Names("hidden_dim", ("dropout", "attention_dropout"), "vocab_transform", "vocab_layer_norm"),
}


class TextEncoder(nn.Module):
    """transformers' BERT, RoBERTa or DistilBERT without word embeddings and pooler.

    Args:
        config: transformers' config (JSON).

    Attributes:
        width, heads, feedforward, dropout: Sizes of its layers.  max_words: most tokens of a caption.
    """

    def __init__(self, config: str) -> None:
        super().__init__()
        settings = _config(config)
        names = _FAMILIES[settings.model_type]
        self.width = int(settings.hidden_size)
        self.heads = int(settings.num_attention_heads)
        self.feedforward = int(getattr(settings, names.feedforward))
        self.dropout = float(getattr(settings, names.dropouts[0]))
        self.max_words = _max_words(settings)
        base = AutoModel.from_config(settings, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
        self.model = _stripped(base)

    def forward(self, embeddings: Tensor, tokens: Tokens) -> Encoding:
        """embeddings: (B, L, D), of the tokens' words.  Returns the last states; the summary is the first token's."""
        states: Tensor = self.model(inputs_embeds=embeddings, attention_mask=tokens.mask.long()).last_hidden_state
        return Encoding(states, tokens.content, states[:, 0])


class TextParts(NamedTuple):
    """A text model: what it is built from again, and its modules."""

    spec: TextSpec
    word_embeddings: nn.Embedding
    text_encoder: TextEncoder
    text_lexical_head: LexicalHead


class TextModel(ABC):
    """Where a text model comes from."""

    def build(self, spec: TextSpec) -> TextParts:
        """Build the modules; from `spec` alone, with new weights, where it has a config, as a checkpoint's has.

        spec: the tokenizer of a store, or a checkpoint's tokenizer and config.
        """
        return _new(spec) if spec.config else self._first(spec.tokenizer)

    @abstractmethod
    def _first(self, tokenizer: str) -> TextParts:
        """Build the modules for the first time, with a store's tokenizer at hand (JSON, may be empty)."""


class SmallText(TextModel):
    """A new BERT of chosen size with the store's tokenizer.

    Args:
        width: Width D.
        depth: Layers.
        heads: Attention heads.
        feedforward: Width of the feed-forward layers.
        dropout: Everywhere.
        max_words: Tokens per caption, the two special ones among them; more are cut.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        feedforward: int = 256,
        dropout: float = 0.1,
        max_words: int = 64,
    ) -> None:
        check_heads(width, heads)
        self.width, self.depth, self.heads = width, depth, heads
        self.feedforward, self.dropout, self.max_words = feedforward, dropout, max_words

    def _first(self, tokenizer: str) -> TextParts:
        if not tokenizer:
            raise ValueError("SmallText needs a store with a tokenizer; prepare the store again, or use PretrainedText")
        words = Tokenizer(tokenizer)
        config = BertConfig(
            vocab_size=words.vocabulary,
            hidden_size=self.width,
            num_hidden_layers=self.depth,
            num_attention_heads=self.heads,
            intermediate_size=self.feedforward,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            max_position_embeddings=self.max_words,
            type_vocab_size=1,
            pad_token_id=words.pad_id,
        )
        return _new(TextSpec(words.cut(self.max_words), config_text(config)))


class PretrainedText(TextModel):
    """A pretrained masked language model with its own tokenizer: BERT, RoBERTa or DistilBERT, weights in safetensors.

    Its masked-language-model head becomes the lexical head; a model that comes without a trained one, as sentence
    encoders do, gets a new one and a warning says so.

    Args:
        name: A local folder, or a name on the Hugging Face hub.
        dropout: Everywhere; None keeps the model's own.
        max_words: Tokens per caption, the two special ones among them; more are cut.
    """

    def __init__(self, name: str, dropout: float | None = None, max_words: int = 64) -> None:
        self.name = name
        self.dropout = dropout
        self.max_words = max_words

    def _first(self, tokenizer: str) -> TextParts:
        model, headless = self._fetch_model()
        words = self._fetch_tokenizer()
        config, names = model.config, _FAMILIES[model.config.model_type]
        if self.dropout is not None:
            for dropout in names.dropouts:
                setattr(config, dropout, self.dropout)
        embeddings = model.get_input_embeddings().weight.detach()
        if len(embeddings) < words.vocabulary:
            raise ValueError(
                f"{self.name}: its tokenizer has {words.vocabulary} terms, its weights only {len(embeddings)}; "
                "they do not belong together, save both again"
            )
        config.vocab_size = words.vocabulary  # some models pad their weights beyond the terms
        parts = _new(TextSpec(words.cut(min(self.max_words, _max_words(config))), config_text(config)))
        encoder = _stripped(model.base_model)
        parts.text_encoder.model.load_state_dict(encoder.state_dict())
        with torch.no_grad():
            parts.word_embeddings.weight.copy_(embeddings[: words.vocabulary])
        if headless:
            warnings.warn(
                f"{self.name}: has no trained masked-language-model head, so its lexical head is new and must learn "
                "from your captions (LexMLM does that)",
                stacklevel=3,
            )
        else:
            parts.text_lexical_head.dense.load_state_dict(model.get_submodule(names.dense).state_dict())
            parts.text_lexical_head.norm.load_state_dict(model.get_submodule(names.norm).state_dict())
            with torch.no_grad():
                parts.text_lexical_head.bias.copy_(model.get_output_embeddings().bias[: words.vocabulary])
        return parts

    def _fetch_model(self) -> tuple[Any, bool]:
        """The masked language model, and whether its files lack a trained head."""
        try:
            config = AutoConfig.from_pretrained(self.name)
        except ValueError as error:
            raise ValueError(
                f"{self.name}: transformers knows no such model ({first_line(error)}); "
                "choose a BERT, RoBERTa or DistilBERT"
            ) from error
        except OSError as error:
            raise self._not_found(error) from error
        _check(config, self.name)
        try:
            with quiet():
                model, report = AutoModelForMaskedLM.from_pretrained(
                    self.name, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
                )
        except (OSError, SafetensorError) as error:
            raise self._not_found(error) from error
        missing = sorted(report["missing_keys"])
        if lost := [key for key in missing if key.startswith(f"{model.base_model_prefix}.")]:
            raise ValueError(
                f"{self.name}: its weights lack {lost[0]} of a {config.model_type} encoder ({len(lost)} missing); "
                "give the folder of a complete model"
            )
        return model, bool(missing)

    def _fetch_tokenizer(self) -> Tokenizer:
        try:
            return Tokenizer(AutoTokenizer.from_pretrained(self.name).backend_tokenizer.to_str())
        except OSError as error:
            raise self._not_found(error) from error

    def _not_found(self, error: Exception) -> FileNotFoundError:
        return not_found(self.name, error, "config.json, tokenizer.json and model.safetensors")


def _new(spec: TextSpec) -> TextParts:
    """Modules with new weights."""
    config = _config(spec.config)
    width, size = int(config.hidden_size), Tokenizer(spec.tokenizer).vocabulary
    words = nn.Embedding(size, width)
    nn.init.normal_(words.weight, std=0.02)
    eps = float(getattr(config, "layer_norm_eps", 1e-12))  # DistilBERT's is no setting
    return TextParts(spec, words, TextEncoder(spec.config), LexicalHead(width, size, eps))


def _config(text: str) -> PreTrainedConfig:
    settings = json.loads(text)
    config: PreTrainedConfig = AutoConfig.for_model(**settings)
    _check(config, "config")
    return config


def _check(config: PreTrainedConfig, name: str) -> None:
    if config.model_type not in _FAMILIES:
        raise ValueError(f"{name}: a {config.model_type} model; choose one of {', '.join(_FAMILIES)}")
    activation = config.activation if config.model_type == "distilbert" else config.hidden_act
    if activation != "gelu" or not config.tie_word_embeddings or getattr(config, "is_decoder", False):
        raise ValueError(
            f"{name}: only a masked language model with gelu and tied word embeddings can be used; choose another"
        )


def _max_words(config: PreTrainedConfig) -> int:
    """Most tokens of a sentence; RoBERTa's positions begin after its padding id."""
    used = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    return int(config.max_position_embeddings) - used


def _stripped(model: Any) -> Any:
    """A base model without word embeddings and pooler."""
    model.set_input_embeddings(nn.Identity())
    if hasattr(model, "pooler"):
        model.pooler = None
    return model
