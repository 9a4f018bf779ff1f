"""`nharness import`: the papers' own files in, ours out, by hand-made cases."""

import torch

from nharness import neurons, statistics
from nharness.cli.main import main


def test_masks(tmp_path, capsys):
    torch.save(
        [[torch.tensor([2, 0]), torch.tensor([], dtype=torch.long)], [torch.tensor([1]), torch.tensor([3])]],
        tmp_path / "m.pth",
    )
    argv = ["import", "masks", str(tmp_path / "m.pth"), "--languages", "en,zho_Hans", "--layer-widths", "4x2"]
    assert main([*argv, "--out", str(tmp_path / "n.safetensors")]) == 0
    found = neurons.load(tmp_path / "n.safetensors")
    assert found.languages == ("en", "zh")
    assert [found.neurons(tag).tolist() for tag in found.languages] == [[[0, 0], [0, 2]], [[0, 1], [1, 3]]]
    assert "en 2 neurons, zh 2 neurons" in capsys.readouterr().out


def test_warnings_are_one_line(tmp_path, capsys):
    torch.save([[torch.tensor([2])]], tmp_path / "m.pth")
    argv = ["import", "masks", str(tmp_path / "m.pth"), "--languages", "en,de", "--layer-widths", "4"]
    assert main([*argv, "--out", str(tmp_path / "n.safetensors")]) == 0
    assert capsys.readouterr().err == f"warning: {tmp_path}/m.pth: holds 1 of 2 languages; taken as empty: de\n"


def test_counts_minus_a_prefix(tmp_path):
    for name, n, counts in (("whole", 10, [[5, 1], [0, 9]]), ("prompt", 4, [[2, 2], [0, 3]])):
        torch.save({"n": n, "over_zero": torch.tensor(counts)}, tmp_path / f"{name}.pth")
    argv = ["import", "counts", "--count", f"en={tmp_path}/whole.pth", "--prefix", f"en={tmp_path}/prompt.pth"]
    assert main([*argv, "--out", str(tmp_path / "s.safetensors")]) == 0
    table = statistics.load(tmp_path / "s.safetensors")
    assert table.totals["en"].tokens == 6
    assert table.get("activation_count", "positive", "en").tolist() == [3, 0, 0, 6]


def test_what_is_missing_or_wrong_is_said(tmp_path, capsys):
    torch.save([[torch.tensor([9])]], tmp_path / "m.pth")
    out = ["--out", str(tmp_path / "x")]
    for argv, message in (
        (["import", "masks", str(tmp_path / "m.pth"), *out], "needs a file, --languages and --layer-widths"),
        (
            ["import", "masks", str(tmp_path / "m.pth"), "--languages", "en", "--layer-widths", "four", *out],
            "expected WIDTHxLAYERS",
        ),
        (["import", "masks", str(tmp_path / "m.pth"), "--languages", "en", "--layer-widths", "4", *out], "m.pth"),
        (
            ["import", "masks", str(tmp_path / "m.pth"), "--languages", "en", "--layer-widths", "0x4", *out],
            "widths above 0",
        ),
        (
            ["import", "masks", str(tmp_path / "m.pth"), "--languages", "en", "--layer-widths", "9999999999x9", *out],
            "100,000,000",
        ),
        (["import", "counts", "--count", "en=a", "--count", "en=b", *out], "language 'en' already has a file (a)"),
        (["import", "counts", *out], "needs --count LANG=FILE"),
        (["import", "counts", "--count", "en", *out], "expected LANG=FILE"),
        (
            ["import", "masks", str(tmp_path / "absent.pth"), "--languages", "en", "--layer-widths", "4", *out],
            "absent.pth",
        ),
    ):
        assert main(argv) == 4
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
