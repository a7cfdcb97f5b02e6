from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from motionlang_pl.data.annotations import Span, TextColumn
from motionlang_pl.data.store import Store
from motionlang_pl.data.wordpiece import train_wordpiece
from motionlang_pl.data.writer import STD_FLOOR, Entry, Kind, StoreWriter


def entry(name: str, frames: np.ndarray, split: str = "train", text: str = "a person walks.") -> Entry:
    span = Span(0.0, len(frames) / 20, text, "", (), split)
    return Entry(name, "stamp", f"digest of {name}", [span], frames={"joints": frames.astype(np.float32)})


def writer(out: Path, repeated: int = 0) -> StoreWriter:
    columns = 2
    return StoreWriter(out, 20.0, "smpl22", {"joints": Kind(columns, repeated)}, "test", {}, {})


def build(out: Path, entries: list[Entry], order: list[str] | None = None, repeated: int = 0) -> Store:
    with writer(out, repeated) as open_writer:
        for one in entries:
            open_writer.add(one)
        open_writer.finish(order or [one.name for one in entries], ["train", "val", "test"], {})
    return Store.open(out)


A = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
B = np.array([[100.0, 100.0], [200.0, 200.0]])


def test_clips_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    store = build(tmp_path / "store", [entry("a", A), entry("b", B, "val", "someone sits.")])
    assert (
        list(store.clips.ids) == ["a", "b"]
        and store.clips.first.tolist() == [0, 3]
        and store.clips.rows.tolist() == [3, 2]
    )
    np.testing.assert_array_equal(store.read("joints", 0, 1, 3), A[1:])
    np.testing.assert_array_equal(store.read("joints", 1, 0, 2), B)
    assert store.annotations[1] == Span(0.0, 0.1, "someone sits.", "", (), "val")
    assert store.annotations.split.tolist() == ["train", "val"] and (store.fps, store.skeleton) == (20.0, "smpl22")
    with pytest.raises(IndexError, match="clip b has 2 rows, not 0:3"):
        store.read("joints", 1, 0, 3)


def test_statistics_are_of_the_training_split_and_of_valid_rows(tmp_path: Path) -> None:
    """Column 0 of the two valid training rows is 0 and 2; column 1 does not move, so its deviation is the floor."""
    store = build(tmp_path / "store", [entry("a", A), entry("b", B, "val")], repeated=1)
    mean, std = store.statistics("joints")
    np.testing.assert_allclose(mean, [1.0, 5.0])
    np.testing.assert_allclose(std, [1.0, STD_FLOOR])
    assert store.valid_rows("joints").tolist() == [2, 1]


def test_the_order_in_which_clips_were_read_does_not_matter(tmp_path: Path) -> None:
    one = build(tmp_path / "one", [entry("a", A), entry("b", B)])
    other = build(tmp_path / "other", [entry("b", B), entry("stale", B), entry("a", A)], order=["a", "b"])
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(other.frames("joints"), np.concatenate([A, B]))


def test_the_fingerprint_tells_contents_apart(tmp_path: Path) -> None:
    one = build(tmp_path / "one", [entry("a", A)])
    assert one.fingerprint != build(tmp_path / "frames", [entry("a", A + 1)]).fingerprint
    assert one.fingerprint != build(tmp_path / "text", [entry("a", A, text="he runs.")]).fingerprint


def test_frames_are_read_only(tmp_path: Path) -> None:
    store = build(tmp_path / "store", [entry("a", A)])
    with pytest.raises(ValueError, match="read-only"):
        store.frames("joints")[0, 0] = 1.0
    store.read("joints", 0, 0, 1)[0, 0] = 1.0
    assert store.frames("joints")[0, 0] == 0.0


def test_a_store_sent_to_another_process_is_opened_there(tmp_path: Path) -> None:
    store = build(tmp_path / "store", [entry("a", A)])
    sent = pickle.dumps(store)
    assert len(sent) < 300
    assert pickle.loads(sent).fingerprint == store.fingerprint


def test_a_store_may_hold_sentences_alone(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", 0.0, "", {}, "test", {}, {}) as open_writer:
        open_writer.add(Entry("s", "", "", [Span(0.0, 0.0, "a person walks.", "", ("walk", "move"), "train")]))
        open_writer.finish(["s"], ["train"], {})
    store = Store.open(tmp_path / "store")
    assert store.kinds == () and len(store.clips.ids) == 0 and store.annotations.clip.tolist() == [-1]
    assert store.annotations[0].labels == ("walk", "move")
    with pytest.raises(ValueError, match="sentences only"):
        store.frames("joints")


def test_opening_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such store; `motionlang prepare"):
        Store.open(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"folder: not a store .* `motionlang prepare"):
        Store.open(tmp_path / "folder")
    for content in ("{}", "no json", "[]"):
        (tmp_path / "folder" / "meta.json").write_text(content)
        with pytest.raises(ValueError, match="folder: not a store"):
            Store.open(tmp_path / "folder")
    store = build(tmp_path / "store", [entry("a", A)])
    (store.path / "meta.json").write_text(json.dumps({**store.meta, "schema": 99}))
    with pytest.raises(
        ValueError, match=r"schema version 99, this motionlang reads 2; build it again with `motionlang"
    ):
        Store.open(store.path)


def test_a_kind_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    store = build(tmp_path / "store", [entry("a", A)])
    with pytest.raises(ValueError, match=r"no feature kind 'humanml3d' \(it has joints\)"):
        store.frames("humanml3d")


def test_without_a_training_split_there_are_no_statistics(tmp_path: Path) -> None:
    store = build(tmp_path / "store", [entry("a", A, "test")])
    assert store.tokenizer is None
    with pytest.raises(ValueError, match="no statistics of joints"):
        store.statistics("joints")


def test_a_journal_line_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole", [entry("a", A), entry("b", B)])
    with writer(tmp_path / "store") as killed:
        killed.add(entry("a", A))
        killed.add(entry("b", B))
        journal = killed.folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    with writer(tmp_path / "store") as resumed:
        assert resumed.finished == {"a": "stamp"}
        resumed.add(entry("b", B))
        resumed.finish(["a", "b"], ["train", "val", "test"], {})
    assert Store.open(tmp_path / "store").fingerprint == whole.fingerprint


def test_a_journal_of_other_options_is_not_gone_on_with(tmp_path: Path) -> None:
    with writer(tmp_path / "store") as killed:
        killed.add(entry("a", A))
    with writer(tmp_path / "store", repeated=1) as other:
        assert other.finished == {}


def test_two_writers_do_not_build_one_store(tmp_path: Path) -> None:
    with (
        writer(tmp_path / "store"),
        pytest.raises(FileExistsError, match="another `motionlang prepare` is building it"),
    ):
        writer(tmp_path / "store")


def test_a_text_column_gives_back_any_text(tmp_path: Path) -> None:
    texts = ["", "é and 走", "", "line\nbreak"]
    TextColumn.write(tmp_path, "column", texts)
    column = TextColumn(tmp_path, "column")
    assert list(column) == texts == [column[i] for i in range(4)] == column[:]
    assert column.empty.tolist() == [True, False, True, False] and column[-1] == "line\nbreak"
    TextColumn.write(tmp_path, "nothing", [])
    assert list(TextColumn(tmp_path, "nothing")) == []


def test_the_tokenizer_knows_every_training_word_whole() -> None:
    tokenizer = Tokenizer.from_str(train_wordpiece(["A person walks slowly.", "someone WALKS back"]))
    assert tokenizer.encode("Someone walks slowly back.").tokens == [
        "[CLS]",
        "someone",
        "walks",
        "slowly",
        "back",
        ".",
        "[SEP]",
    ]
    assert [tokenizer.token_to_id(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]
    assert tokenizer.encode("qqq").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_the_tokenizer_is_the_same_for_the_same_captions() -> None:
    captions = [f"a person {verb}s {adverb}" for verb in ("walk", "jump", "turn") for adverb in ("up", "back", "away")]
    assert len({train_wordpiece(captions, terms) for terms in [60] * 5}) == 1
