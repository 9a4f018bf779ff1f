"""Files as the papers' repositories write them, written here by torch.save."""

import pickle

import numpy as np
import pytest
import torch

from nharness import statistics
from nharness.detector import Evidence
from nharness.errors import FileFormatError, UnknownNameError, UsageError
from nharness.foreign import import_counts, import_masks
from nharness_detectors.lape import Lape
from nharness_detectors.ternary import Ternary


@pytest.fixture
def mask(tmp_path):
    content = [[torch.tensor([2, 0]), torch.tensor([], dtype=torch.int64)], [torch.tensor([1]), torch.tensor([3, 1])]]
    torch.save(content, tmp_path / "llama.neuron.pth")
    return tmp_path / "llama.neuron.pth"


def test_masks_become_neurons(mask):
    found = import_masks(mask, ["eng", "zho_Hans"], [4, 5])
    assert found.languages == ("en", "zh")
    assert found.layer_widths == (4, 5)
    assert found.neurons("en").tolist() == [[0, 0], [0, 2]]
    assert found.neurons("zh").tolist() == [[0, 1], [1, 1], [1, 3]]
    assert found.detector == "llama.neuron"
    assert found.cut(1).membership.sum() == 5


def test_languages_missing_at_the_end_keep_their_empty_rows(mask):
    with pytest.warns(UserWarning, match="holds 2 of 4 languages; taken as empty: fr, es"):
        found = import_masks(mask, ["en", "zh", "fr", "es"], [4, 5])
    assert found.languages == ("en", "zh", "fr", "es")
    assert found.membership.sum(axis=1).tolist() == [2, 3, 0, 0]
    assert found.notes["absent_languages"] == ["fr", "es"]


@pytest.mark.parametrize(
    ("languages", "widths", "message"),
    [
        (["en"], [4, 5], "holds 2 languages, but 1 were named"),
        (["en", "zh"], [4, 5, 6], "has 2 layers, expected a list of 3"),
        (["en", "zh"], [2, 5], "outside layer widths"),
    ],
)
def test_masks_of_another_shape_are_refused(mask, languages, widths, message):
    with pytest.raises(FileFormatError, match=message):
        import_masks(mask, languages, widths)


def test_a_language_unknown_or_twice_is_refused(mask):
    with pytest.raises(UnknownNameError):
        import_masks(mask, ["en", "qqqqq"], [4, 5])
    with pytest.raises(UsageError, match="more than once"):
        import_masks(mask, ["en", "eng"], [4, 5])


@pytest.mark.parametrize(
    "content",
    [
        3,
        [],
        {"en": 1},
        [3],
        [[torch.tensor([0.5]), torch.tensor([1])]],
        [["ab", "cd"]],
        [[torch.tensor([-1]), torch.tensor([1])]],
    ],
)
def test_other_contents_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "m.pth")
    with pytest.raises(FileFormatError, match=r"m\.pth"):
        import_masks(tmp_path / "m.pth", ["en"], [4, 5])


class Attack:
    def __reduce__(self):
        return (open, ("was-run", "w"))


def test_a_file_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save([Attack()], tmp_path / "bad.pth")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps([Attack()]))
    for name in ("bad.pth", "bare.pkl"):
        with pytest.raises(FileFormatError, match=name) as caught:
            import_masks(tmp_path / name, ["en"], [4])
        assert "weights_only" not in str(caught.value)  # torch's own words say how to run the code
    assert not (tmp_path / "was-run").exists()


def test_damaged_and_absent_files_are_named(mask, tmp_path):
    whole = mask.read_bytes()
    for name, content in (("cut.pth", whole[: len(whole) // 2]), ("empty.pth", b""), ("noise.pth", b"\x80\x02hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match=name):
            import_masks(tmp_path / name, ["en", "zh"], [4, 5])
    with pytest.raises(FileFormatError, match="no such file"):
        import_masks(tmp_path / "absent.pth", ["en"], [4])


def save_counts(path, tokens, counts, key="n"):
    torch.save({key: tokens, "over_zero": counts}, path)
    return path


def test_counts_become_statistics(tmp_path):
    paths = {
        "zho": save_counts(tmp_path / "zh", 100, torch.tensor([[5, 6, 7], [1, 2, 3]], dtype=torch.int32)),
        "en": save_counts(tmp_path / "en", torch.tensor(50), torch.tensor([[9, 9, 9], [0, 0, 1]]), "total_tokens"),
    }
    found = import_counts(paths)
    assert found.languages == ("zh", "en")
    assert found.layer_widths == (3, 3)
    assert found.totals["zh"].tokens == 100
    assert found.get("activation_count", "positive", "zh").tolist() == [5, 6, 7, 1, 2, 3]
    assert found.get("activation_count", "positive", "en").dtype == np.int64
    assert found.activation_probability()[1].tolist() == [0.18, 0.18, 0.18, 0, 0, 0.02]


def test_prefix_counts_are_subtracted_and_clamped(tmp_path):
    whole = {"en": save_counts(tmp_path / "en", 100, torch.tensor([[50, 20, 5]]))}
    prefix = {"eng": save_counts(tmp_path / "en.prefix", 60, torch.tensor([[30, 25, 5]]))}
    found = import_counts(whole, prefix=prefix)
    assert found.totals["en"].tokens == 40
    assert found.get("activation_count", "positive", "en").tolist() == [20, 0, 0]
    longer = {"en": save_counts(tmp_path / "long", 170, torch.tensor([[30, 25, 5]]))}
    assert import_counts(whole, prefix=longer).totals["en"].tokens == 0


def test_counts_that_exceed_the_tokens_after_subtraction_are_kept(tmp_path):
    whole = {tag: save_counts(tmp_path / tag, 100, torch.tensor([[100, 20, 5, 60]])) for tag in ("en", "de")}
    prefix = {tag: save_counts(tmp_path / f"{tag}.prefix", 60, torch.tensor([[10, 5, 5, 60]])) for tag in whole}
    import_counts(whole, prefix=prefix).save(tmp_path / "s.safetensors")
    with pytest.warns(UserWarning, match="1 of 4 counts in .* exceed the language's 40 tokens, by 50 at most"):
        loaded = statistics.load(tmp_path / "s.safetensors")
    assert loaded.get("activation_count", "positive", "de").tolist() == [90, 15, 0, 0]
    assert loaded.totals["de"].tokens == 40
    with pytest.warns(UserWarning, match="2 activation counts exceed the number of tokens"):
        Ternary(top_rate=0.5)(Evidence({"gate": loaded}))


@pytest.mark.parametrize(("tokens", "counts"), [(-5, [[1]]), (5, [[-1]])])
def test_counts_below_nothing_are_refused(tmp_path, tokens, counts):
    with pytest.raises(FileFormatError, match="expected counts of at least 0"):
        import_counts({"en": save_counts(tmp_path / "en", tokens, torch.tensor(counts))})


def test_layers_of_unequal_width(tmp_path):
    found = import_counts({"en": save_counts(tmp_path / "en", 10, [torch.tensor([1, 2]), torch.tensor([3])])})
    assert found.layer_widths == (2, 1)


def test_counts_of_the_papers_give_the_papers_neurons(tmp_path):
    """The released identification, restated on the same count files, selects the same neurons."""
    random = np.random.default_rng(0)
    tokens = {"en": 1000, "de": 900, "zh": 800}
    counts = {tag: torch.from_numpy(random.integers(0, n, (4, 500))) for tag, n in tokens.items()}
    found = Lape()(
        evidence := _evidence({tag: save_counts(tmp_path / tag, tokens[tag], counts[tag]) for tag in tokens})
    )
    probability = torch.stack([counts[tag] / tokens[tag] for tag in tokens], dim=-1).double().reshape(-1, 3)
    share = probability / probability.sum(-1, keepdim=True)
    entropy = -(share * torch.where(share > 0, share.log(), 0)).sum(-1)
    bar = probability.flatten().kthvalue(round(0.95 * probability.numel())).values
    entropy[(probability > bar).sum(-1) == 0] = torch.inf
    chosen = entropy.topk(round(0.01 * len(entropy)), largest=False).indices
    for row in range(3):
        expected = [j for j in chosen.tolist() if probability[j, row] > bar]
        assert found.flat(evidence.languages[row]).tolist() == sorted(expected)


def _evidence(paths):
    from nharness.detector import Evidence

    return Evidence({"gate": import_counts(paths)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"over_zero": torch.ones(2, 2)}, "expected n or total_tokens"),
        ({"n": 3}, "expected n or total_tokens, and over_zero"),
        ([1, 2], "holds a list"),
        ({"n": 3, "over_zero": torch.ones(4)}, "over_zero"),
        ({"n": 3, "over_zero": torch.full((2, 2), 0.5)}, "whole numbers"),
        ({"n": 3, "over_zero": 7}, "over_zero"),
    ],
)
def test_other_counts_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(FileFormatError, match=message):
        import_counts({"en": tmp_path / "c.pt"})


def test_models_and_languages_must_agree(tmp_path):
    paths = {tag: save_counts(tmp_path / tag, 10, torch.ones(2, width)) for tag, width in (("en", 3), ("de", 4))}
    with pytest.raises(FileFormatError, match="counts of 2 layers with up to 4"):
        import_counts(paths)
    with pytest.raises(UsageError, match="prefix counts are of de, expected the languages en"):
        import_counts({"en": paths["en"]}, prefix={"de": paths["de"]})


@pytest.mark.parametrize("shape", [(10**10,), (10**5, 10**5)])
def test_a_mask_of_few_bytes_that_stands_for_ten_thousand_million_numbers_is_refused_by_size(tmp_path, shape):
    torch.save([[torch.zeros(1, dtype=torch.int64).expand(shape)]], tmp_path / "m.pth")
    with pytest.raises(FileFormatError, match="layer 0 has 10,000,000,000 values, expected at most 4"):
        import_masks(tmp_path / "m.pth", ["en"], [4])
    torch.save({"n": 5, "over_zero": torch.zeros(1, 1, dtype=torch.int64).expand(10**5, 10**5)}, tmp_path / "c.pth")
    with pytest.raises(FileFormatError, match="over_zero has 10,000,000,000 values"):
        import_counts({"en": tmp_path / "c.pth"})


def test_a_list_that_repeats_itself_is_counted_before_it_is_spread_out(tmp_path):
    inner = [0] * 1000
    for _ in range(3):
        inner = [inner] * 1000  # type: ignore[list-item]
    torch.save([[inner]], tmp_path / "m.pth")
    with pytest.raises(FileFormatError, match="has 1,000,000,000,000 values"):
        import_masks(tmp_path / "m.pth", ["en"], [4])


def test_widths_that_are_too_large_for_the_units_are_refused(tmp_path):
    random = np.random.default_rng(0)
    units = [torch.from_numpy(random.choice(1000, 20, replace=False)) for _ in range(4)]
    torch.save([units[:2], units[2:]], tmp_path / "m.pth")
    assert import_masks(tmp_path / "m.pth", ["en", "de"], [1000, 1000]).membership.any()
    with pytest.raises(FileFormatError, match=r"no unit above 9\d\d in layers of up to 3000.*--trust-widths"):
        import_masks(tmp_path / "m.pth", ["en", "de"], [3000, 3000])
    assert import_masks(tmp_path / "m.pth", ["en", "de"], [3000, 3000], trust_widths=True).membership.any()
