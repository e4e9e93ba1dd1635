import pytest

from pipeline.cli import main
from pipeline.networks import NETWORKS

Capture = pytest.CaptureFixture[str]


def test_every_network_is_listed_with_its_counts_and_source(capsys: Capture) -> None:
    assert main(["networks"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "2D", "3D", "source"]
    assert [row.split()[0] for row in rows] == list(NETWORKS)
    (unet,) = (row for row in rows if row.startswith("unet "))
    # of the published U-Net with batch norm, one channel and one class
    assert unet.split()[1:3] == ["31,036,481", "90,298,561"]


def test_one_network_is_shown_with_its_options(capsys: Capture) -> None:
    assert main(["networks", "attunet"]) == 0
    out = capsys.readouterr().out
    assert "Oktay" in out
    assert "widths" in out
    assert "norm" in out


def test_an_unknown_network_is_refused_with_the_nearest(capsys: Capture) -> None:
    assert main(["networks", "atunet"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "attunet" in err
