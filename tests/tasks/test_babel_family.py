"""The family's recipes and its packed weights do what their docstrings say; what is absent says how to make it."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from nharness.errors import ModelError
from nharness.plugins import Plugins
from nharness_tasks.babel import family, packed
from nharness_tasks.babel.evaluate import family_table
from nharness_tasks.babel.network import new_network, save_folder
from nharness_tasks.babel.recipe import (
    ALIGNED,
    FAMILY_FILE,
    FURTHER,
    HERE,
    MODEL_FOLDER,
    NETWORK,
    PERPLEXITY_FILE,
    SIZES,
    TRAINING,
    Network,
)
from nharness_tasks.babel.sequences import SequenceSource
from nharness_tasks.babel.training import train
from nharness_tasks.babel.translations import LONGEST, Couple, as_edition, mixed, translations
from nharness_tasks.corpora.pages import LANGUAGES, Page, Paragraph
from nharness_tasks.corpora.splits import Splits

TINY = Network(vocabulary=300, hidden=16, layers=1, heads=2, key_value_heads=1, feed_forward=32, positions=32)
SHIPPED = sorted(family.FOLDER.glob("*.xz"))


def edition(languages: tuple[str, ...], pages: int = 4) -> dict[str, tuple[Page, ...]]:
    keys = ("hd_1", "par_1", "par_2")
    return {
        language: tuple(
            Page("help", f"page{number}", tuple(Paragraph(key, f"{language} {number} {key}") for key in keys))
            for number in range(pages)
        )
        for language in languages
    }


def weights(seed: int) -> dict[str, torch.Tensor]:
    return {name: value.detach().bfloat16() for name, value in new_network(TINY, seed).named_parameters()}


def test_couples_are_translations_and_answers_of_the_same_page() -> None:
    couples = translations(edition(("en", "de")), ("en", "de"))
    assert list(couples) == ["en+de", "de+en"]
    assert couples["de+en"][:4] == [
        Couple("de 0 hd_1", "en 0 hd_1"),
        Couple("de 0 par_1", "en 0 par_1"),
        Couple("de 0 hd_1", "en 0 par_1"),
        Couple("de 0 par_2", "en 0 par_2"),
    ]


def test_a_passage_without_a_partner_or_too_long_has_no_couple() -> None:
    text = edition(("en", "de"), pages=1)
    missing = {**text, "de": (dataclasses.replace(text["de"][0], paragraphs=text["de"][0].paragraphs[:1]),)}
    assert translations(missing, ("en", "de"))["en+de"] == [Couple("en 0 hd_1", "de 0 hd_1")]
    long = Paragraph("par_9", "x" * (LONGEST + 1))
    longer = {tag: (dataclasses.replace(page, paragraphs=(*page.paragraphs, long)),) for tag, (page,) in text.items()}
    assert translations(longer, ("en", "de")) == translations(text, ("en", "de"))


def test_mixed_couples_keep_every_passage_and_no_partner() -> None:
    couples = translations(edition(("en", "de", "ru")), ("en", "de", "ru"))
    apart = mixed(couples)
    for pair, found in couples.items():
        assert [each.first for each in apart[pair]] == [each.first for each in found]
        assert sorted(each.second for each in apart[pair]) == sorted(each.second for each in found)
        assert not any(a.second.split()[1] == b.second.split()[1] for a, b in zip(apart[pair], found, strict=True))


def test_both_texts_have_the_same_pages_in_length_and_language() -> None:
    text = edition(ALIGNED)
    one, other = (family.further_text(text, name) for name in family.FURTHER_TRAINED)
    assert list(one) == list(other) == [*ALIGNED, *as_edition(translations(text, ALIGNED), ALIGNED)]
    assert len(one) == len(ALIGNED) + 10
    first, second = one["en+de"][:2]
    assert [p.text for p in first.paragraphs] == ["en 0 hd_1", "de 0 hd_1"]
    assert [p.text for p in second.paragraphs] == ["de 0 hd_1", "en 0 hd_1"]
    assert all(one[tag] == other[tag] for tag in ALIGNED)
    assert one["en+de"] != other["en+de"]


def test_a_step_of_further_training_holds_every_language_and_pair_once() -> None:
    pairs = len(ALIGNED) * (len(ALIGNED) - 1) // 2
    assert FURTHER.sequences_per_language == 1
    assert len(LANGUAGES) + pairs == len(LANGUAGES) * TRAINING.sequences_per_language
    assert set(ALIGNED) < set(LANGUAGES)


@pytest.mark.parametrize("base", [None, 2])
def test_packed_weights_come_back_to_within_half_a_step(base: int | None) -> None:
    given, ground = weights(1), None if base is None else weights(base)
    content = packed.pack(given, ground)
    back = packed.unpack(content, ground)
    assert set(back) == set(given)
    for name, value in given.items():
        change = value.float() - (ground[name].float() if ground else 0)
        allowed = 0.51 / packed.LEVELS * change.square().mean(-1, keepdim=True).sqrt() if value.dim() > 1 else 0
        assert ((back[name].float() - value.float()).abs() <= allowed + 0.004 * value.float().abs() + 1e-6).all()


def test_packed_weights_take_a_third_of_the_space() -> None:
    square = {"weight": torch.randn(512, 512, generator=torch.Generator().manual_seed(0)).bfloat16()}
    assert len(packed.pack(square, None)) < square["weight"].nbytes / 3


def test_training_stops_where_it_is_told_on_the_whole_schedule(tmp_path: Path) -> None:
    tokens = torch.arange(1, 200).numpy() % TINY.vocabulary
    recipe = dataclasses.replace(TRAINING, steps=6, sequence=8, sequences_per_language=1, warm_up_steps=2, stages=())
    source = SequenceSource({"en": [tokens]}, recipe)
    done: list[int] = []
    list(train(new_network(TINY, 1), source, dataclasses.replace(recipe, stop=4), tmp_path / "c", done.append))
    assert done == [4]
    kept = dataclasses.replace(recipe, stages=(("early", 1), ("late", 3)))
    done.clear()
    list(train(new_network(TINY, 1), source, kept, tmp_path / "d", done.append))
    assert done == [1, 3, 6]


def test_every_member_is_registered_and_found_or_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(family, "FOLDER", tmp_path / "nothing")
    registered = Plugins().entries("models")
    for name in family.MEMBERS:
        target = getattr(family, registered[name].entry.value.partition(":")[2])
        with pytest.raises(ModelError, match=rf"`python -m nharness_tasks.babel.family {name}` makes it"):
            target()
    made = family.made_folder("babel-small")
    made.mkdir(parents=True)
    (made / family.WEIGHTS).touch()
    assert family.small() == made


@pytest.mark.parametrize("name", sorted({*family.STAGES, *SIZES} - {file.stem for file in SHIPPED}))
def test_the_command_makes_what_is_not_shipped(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On text of a few pages, and in two steps instead of 3000; of `babel-early` in one of them."""
    short = dataclasses.replace(TRAINING, steps=2, sequence=8, sequences_per_language=1, warm_up_steps=1, stages=())
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(family, "splits", lambda _: Splits(edition(LANGUAGES, pages=20), {}, {}))
    monkeypatch.setattr(family, "TRAINING", short)
    monkeypatch.setattr(family, "STAGES", dict.fromkeys(family.STAGES, 1))
    monkeypatch.setattr(sys, "argv", ["family", name, "--work", str(tmp_path / "work"), "--threads", "1"])
    family.main()
    folder = Plugins().resolve("models", name)()
    assert folder == family.made_folder(name)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    shape = SIZES.get(name, NETWORK)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size) == (shape.layers, shape.hidden)
    assert config.intermediate_size == shape.feed_forward
    untrained = new_network(shape, TRAINING.seed).state_dict()
    key = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(model.state_dict()[key].float(), untrained[key].bfloat16().float())
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True)("a")["input_ids"][0] == 0
    assert not list((tmp_path / "work").iterdir())  # the checkpoint goes once it is not needed


def test_the_shipped_family_is_small_enough() -> None:
    """In units of 1024 x 1024 bytes."""
    assert sum(file.stat().st_size for file in SHIPPED) <= 12 * 2**20
    assert {file.stem for file in SHIPPED} <= set(family.MEMBERS)


def test_a_member_of_another_size_is_unpacked_in_its_own_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(family, "FOLDER", tmp_path / "shipped")
    shape = SIZES["babel-small"]
    network = new_network(shape, 3)
    save_folder(network, Tokenizer.from_file(str(MODEL_FOLDER / "tokenizer.json")), tmp_path / "made")
    family.ship("babel-small", tmp_path / "made", tmp_path / "shipped")
    folder = family.small()
    assert json.loads((folder / "config.json").read_text()) == json.loads((tmp_path / "made/config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert model.num_parameters() == network.num_parameters()
    name = "model.layers.2.mlp.up_proj.weight"
    error = model.state_dict()[name].float() - network.state_dict()[name]
    assert error.square().mean().sqrt() < 0.12 * network.state_dict()[name].square().mean().sqrt()


def test_the_card_shows_what_was_measured_on_the_shipped_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path))
    measured = json.loads(FAMILY_FILE.read_text(encoding="utf-8"))
    languages = json.loads(PERPLEXITY_FILE.read_text(encoding="utf-8"))["languages"]
    assert {file.stem for file in SHIPPED} <= set(measured)
    for file in SHIPPED:
        content = (family.locate(file.stem) / family.WEIGHTS).read_bytes()
        assert measured[file.stem]["weights_sha256"] == hashlib.sha256(content).hexdigest()
    card = (HERE / "FAMILY.md").read_text(encoding="utf-8")
    assert family_table(measured, languages) in card
    for name in family.MEMBERS:
        (row,) = (line for line in card.splitlines() if line.startswith(f"| `{name}` |"))
        assert ("| shipped |" in row) == (name in {file.stem for file in SHIPPED})
    for constant in (FURTHER.steps, FURTHER.peak_rate, FURTHER.warm_up_steps, *dict(TRAINING.stages).values()):
        assert str(constant) in card


def test_shipped_weights_are_unpacked_once_and_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(family, "FOLDER", tmp_path / "shipped")
    changed = {name: value * 1.5 for name, value in load_file(MODEL_FOLDER / family.WEIGHTS).items()}
    (tmp_path / "trained").mkdir()
    save_file(changed, tmp_path / "trained" / family.WEIGHTS)
    family.ship("babel-aligned", tmp_path / "trained", tmp_path / "shipped")
    folder = family.aligned()
    assert folder == family.aligned()
    assert [child.name for child in folder.parent.iterdir()] == [folder.name]
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert model.config.intermediate_size == NETWORK.feed_forward
    assert model.dtype is torch.bfloat16
    name = "model.layers.0.mlp.up_proj.weight"
    error = model.state_dict()[name].float() - changed[name].float()
    assert error.square().mean().sqrt() < 0.1 * changed[name].float().square().mean().sqrt() / 3
    assert AutoTokenizer.from_pretrained(folder, local_files_only=True)("a")["input_ids"][0] == 0


def test_sizes_stand_on_either_side_of_babel() -> None:
    counts = {name: new_network(shape, 1).num_parameters() for name, shape in SIZES.items()}
    assert counts["babel-small"] < new_network(NETWORK, 1).num_parameters() / 3
    assert counts["babel-large"] > new_network(NETWORK, 1).num_parameters() * 1.9
