"""`rtsr import` as it is typed, and the imported network in use."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rtsr.cli import main
from tests.importing.graphs import bicubic, written
from tests.media import make_video, probe
from tests.networks import random_network


@pytest.fixture
def rtsr(capsys, monkeypatch, tmp_path):
    """Runs the command line in a folder of its own; gives exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        return done.value.code or 0, *capsys.readouterr()

    return run


def test_an_imported_graph_upscales_a_video_and_is_scored(rtsr, tmp_path):
    written(bicubic(2), tmp_path / "net.onnx")
    status, out, err = rtsr("import", "net.onnx", "--folder", "mine", "--name", "my-x2")
    assert (status, err) == (0, "")
    assert out.startswith("mine/my-x2.onnx: onnx x2 on RGB up to 1, imported; 7 parameters, 0 MACs/pixel; use it with")
    assert out.endswith("--model mine/my-x2.toml\n")
    make_video(tmp_path / "in.mp4", frames=3)
    size = probe(tmp_path / "in.mp4").size
    assert rtsr("upscale", "in.mp4", "--scale", 2, "--model", "mine/my-x2.toml", "-q")[::2] == (0, "")
    assert probe(tmp_path / "in_2x.mp4").size == (2 * size[0], 2 * size[1])
    (tmp_path / "set" / "HR").mkdir(parents=True)
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8), (48, 48))
    cv2.imwrite("set/HR/a.png", picture)
    status, out, err = rtsr("eval", "--model", "mine/my-x2.toml", "--scale", 2, "--dataset", "set")
    assert (status, err) == (0, "") and "my-x2 x2 on set" in out


def test_a_graph_is_not_replaced_by_what_is_made_of_it(rtsr, tmp_path):
    content = written(bicubic(2), tmp_path / "net.onnx").read_bytes()
    for wish in (("--folder", "."), ("--folder", tmp_path, "--name", "net")):
        status, out, err = rtsr("import", "net.onnx", *wish)
        assert (status, out) == (2, "") and "would replace it; choose another --name or --folder" in err
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_bytes() == content


def test_a_network_is_replaced_only_where_that_is_allowed(rtsr, tmp_path):
    written(bicubic(2), tmp_path / "net.onnx")
    assert rtsr("import", "net.onnx", "--folder", "mine")[0] == 0
    card = Path("mine/net.toml").read_bytes()
    written(bicubic(3), tmp_path / "net.onnx")
    cure = "exists already; choose another --name or --folder, or allow it with --overwrite\n"
    assert rtsr("import", "net.onnx", "--folder", "mine") == (1, "", f"error: mine/net.onnx {cure}")
    Path("mine/net.onnx").unlink()
    assert rtsr("import", "net.onnx", "--folder", "mine") == (1, "", f"error: mine/net.toml {cure}")
    Path("mine/folder").mkdir()  # As a network with several exits has.
    wish = ("--folder", "mine", "--name", "folder")
    assert rtsr("import", "net.onnx", *wish) == (1, "", f"error: mine/folder {cure}")
    assert Path("mine/net.toml").read_bytes() == card and len(list(Path("mine").iterdir())) == 2
    assert rtsr("import", "net.onnx", "--folder", "mine", "--overwrite")[0] == 0
    assert Path("mine/net.toml").read_bytes() != card


def test_a_checkpoint_with_its_architecture(rtsr, tmp_path):
    torch.save(random_network("quicksrnet-small", 2).state_dict(), "some.pth")
    status, out, _ = rtsr("import", "some.pth", "--arch", "quicksrnet-small", "--scale", 2, "--flavour", "capture")
    assert status == 0
    assert out == (
        "engines/some.onnx: QuickSRNet-Small x2, imported; 22860 parameters, 22752 MACs/pixel; "
        "use it with --model engines/some.toml\n"
    )
    assert 'flavour = "capture"' in Path("engines/some.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["none.pth"], 1, "none.pth is not there"),
        (["text.onnx"], 1, "text.onnx is damaged"),
        (["text.onnx", "--scale", "9"], 2, "scale 9 is out of range"),
        (["text.doc"], 2, "text.doc is of no known kind"),
        ([], 2, "Missing argument"),
    ],
)
def test_one_line_says_what_is_wrong(rtsr, arguments, status, message):
    Path("text.onnx").write_text("text")
    got, out, err = rtsr("import", *arguments)
    assert (got, out) == (status, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_help_has_examples(rtsr):
    assert "rtsr import rlfn_s_x2.pth" in rtsr("import", "--help")[1]
