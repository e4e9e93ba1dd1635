from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.networks import NETWORKS

Capture = pytest.CaptureFixture[str]


def test_every_network_is_listed_with_its_counts_costs_and_source(capsys: Capture) -> None:
    assert main(["networks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, rows = lines[0], lines[1 : 1 + len(NETWORKS)]
    names = "name 2D 3D G 2D G 3D GiB 2D GiB 3D divisor source"
    assert " ".join(head.split()) == names
    assert [row.split()[0] for row in rows] == list(NETWORKS)
    (unet,) = (row for row in rows if row.startswith("unet "))
    # of the published U-Net with batch norm, one channel and one class
    assert unet.split()[1:8] == [
        *("31,036,481", "90,298,561"),
        *("48.1", "801.0", "0.32", "2.91"),
        "16",
    ]
    (plain,) = (row for row in rows if row.startswith("nnunet "))
    assert "128/32" in plain.split()


def test_unpadded_networks_are_listed_at_a_size_of_their_own(capsys: Capture) -> None:
    assert main(["networks"]) == 0
    out = capsys.readouterr().out
    assert "256x256 and 96x96x96" in out
    assert "unet_valid is unpadded: 572x572 and 188x188x188" in out


def test_one_network_is_shown_with_its_options(capsys: Capture) -> None:
    assert main(["networks", "attunet"]) == 0
    out = capsys.readouterr().out
    assert "Oktay" in out
    assert "widths" in out
    assert "norm" in out


@pytest.mark.parametrize("extra", [[], ["--draw", "x.png"]])
def test_an_unknown_network_is_refused_with_the_nearest(extra: list[str], capsys: Capture) -> None:
    assert main(["networks", "atunet", *extra]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "attunet" in err


@pytest.mark.parametrize("dims", ["2", "3"])
def test_the_wiring_is_drawn_into_the_file_that_is_named(
    dims: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "u.png"
    assert main(["networks", "unet_vgg", "--draw", str(path), "--spatial_dims", dims]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert list(tmp_path.iterdir()) == [path]
    with Image.open(path) as page:
        assert page.format == "PNG"
        assert page.width >= 500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--draw", "x.png"], "without a network"),
        (["unet", "--draw", "x.pdf"], "no PNG"),
        (["unet", "--draw", "x.png", "--spatial_dims", "4"], "spatial_dims is 4"),
    ],
)
def test_a_drawing_that_cannot_be_is_refused_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["networks", *words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_pictures_of_the_documentation_are_of_the_whole_family() -> None:
    folder = Path(__file__).parents[2] / "docs"
    pictures = sorted((folder / "images" / "networks").iterdir())
    assert [one.name for one in pictures] == sorted(f"{name}.png" for name in NETWORKS)
    assert sum(one.stat().st_size for one in pictures) < 1_500_000
    page = (folder / "networks.md").read_text(encoding="utf-8")
    for name, row in NETWORKS.items():
        assert f"(images/networks/{name}.png)" in page
        for number in row.parameters:
            assert f"{number:,}" in page
