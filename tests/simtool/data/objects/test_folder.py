"""`simtool train folder`: pictures in a folder a class, to a localizer; and what can be wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from simrun import Localizer
from simrun.errors import OutputError, SourceError, UsageError
from simtool.cli.ablate import AblateArguments, ablate
from simtool.cli.export import ExportArguments, export
from simtool.cli.train import TrainArguments, train
from simtool.data import load_split
from simtool.data.annotations import load_annotations
from simtool.data.labels import IGNORE
from simtool.data.objects import splits
from simtool.data.objects.canvases import write_canvases
from simtool.data.objects.cutout import SIDE, cut_out, is_coloured
from simtool.data.objects.material import Material
from simtool.data.objects.reading import read_cutouts, read_photos
from simtool.data.objects.scenes import Layout, label_cells, make_scene
from simtool.evaluation.evaluate import AnnotatedSource
from simtool.evaluation.object_metrics import score_names
from simtool.nets import Variant, build_net
from simtool.runs.checkpoint import read_checkpoint
from simtool.runs.folder import RunFolder
from simtool.runs.recipes import RECIPES
from simtool.training import objects
from simtool.training.objects import Composed, train_folder

NAMES = ("cross", "disc", "schleife é")


def draw(kind: int, number: int, *, colour: tuple[int, int, int] | None = None) -> np.ndarray:
    """A bright shape on black, of a size and shade that `number` decides."""
    rng = np.random.default_rng((kind, number))
    image = np.zeros((40, 40, 3) if colour else (40, 40), np.uint8)
    shade = colour or int(rng.integers(150, 256))
    r = int(rng.integers(11, 18))
    if kind == 0:
        cv2.line(image, (20 - r, 20 - r), (20 + r, 20 + r), shade, 6)
        cv2.line(image, (20 - r, 20 + r), (20 + r, 20 - r), shade, 6)
    elif kind == 1:
        cv2.circle(image, (20, 20), r, shade, -1)
    else:
        cv2.rectangle(image, (20 - r, 20 - r // 2), (20 + r, 20 + r // 2), shade, 4)
    image[0, 0] = number  # no two are the same file
    return image


def fill(root: Path, counts: dict[str, int], **options: object) -> Path:
    """A folder with so many pictures of each class."""
    for kind, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            cv2.imwrite(str(root / name / f"{number:03}.png"), draw(kind % 3, number, **options))
    return root


@pytest.fixture(scope="module", autouse=True)
def few_scenes() -> Iterator[None]:
    """Measure on fewer scenes than users get: seconds are counted here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "HELD_OUT", 20)
        patch.setattr(splits, "SAMPLE", 150)
        patch.setattr(splits, "HELD_OUT", 20)
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("pictures"), dict.fromkeys(NAMES, 15))


SHORT = replace(RECIPES["folder"], scenes=1200, epochs=2)
SHORTEST = replace(SHORT, scenes=16)


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("folder") / "run"
    train_folder(SHORT, pictures, Composed(), run, seed=0)
    return run


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    ablate(AblateArguments(run=run, resamples=2, deletion=False))
    export(ExportArguments(run=run, out=run.parent / "mine"))
    return run.parent / "mine"


def test_things_are_found_and_named(bundle: Path, run: Path, tmp_path: Path) -> None:
    write_canvases(run, tmp_path / "canvases", 20, overwrite=False)
    canvases = load_annotations(tmp_path / "canvases")
    assert {region.text for image in canvases.images for region in image.regions} == set(NAMES)
    localizer = Localizer.load(bundle)
    assert localizer.meta.classes == NAMES
    assert localizer.meta.heatmap_channels == NAMES
    lines = []
    for frame in AnnotatedSource(canvases):
        result = localizer(frame.image)
        regions = [{"quad": r.quad, "label": r.label, "score": r.score} for r in result.regions]
        lines.append(json.dumps({"file": frame.file, "regions": regions}))
    (tmp_path / "found.jsonl").write_text("\n".join(lines), encoding="utf-8")
    scores = score_names(canvases, tmp_path / "found.jsonl")["all"].to_json()
    assert scores["recall"] > 0.35, scores  # 300 steps; a user gets 6000
    assert scores["precision"] > 0.5
    assert scores["named"] > 0.6


def test_the_run_carries_what_ablation_and_export_need(run: Path, bundle: Path) -> None:
    checkpoint = read_checkpoint(run)
    assert checkpoint.variant == Variant((*NAMES, "nothing"), 1)
    assert checkpoint.build().spec.shown == NAMES
    data = load_split("folder", "test", run)
    assert data.images.shape[1:] == (1, 128, 128)
    assert data.dense
    with pytest.raises(SourceError, match="no split 'dev'"):
        load_split("folder", "dev", run)
    with pytest.raises(SourceError, match=r"no material.npz; give the run folder"):
        load_split("folder", "test", bundle)


def test_a_training_goes_on_to_the_same_weights(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_folder(SHORTEST, pictures, Composed(), tmp_path / "whole", seed=0)
    save = RunFolder.save

    def interrupted(self: RunFolder, *args: object) -> None:
        save(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_folder(SHORTEST, pictures, Composed(), tmp_path / "run", seed=0)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run").epoch == 1
    train_folder(SHORTEST, pictures, Composed(), tmp_path / "run", seed=0)
    whole = read_checkpoint(tmp_path / "whole")
    assert read_checkpoint(tmp_path / "run").sha256 == whole.sha256


def test_one_cell_of_the_map_names_a_crop() -> None:
    net = build_net("things", Variant(("a", "b", "nothing"), 3)).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, 3, 65, 65)).shape == (2, 3, 17, 17)
        assert net.trunk(torch.zeros(1, 3, 128, 96)).shape == (1, 24, 32, 24)


def test_held_out_pictures_are_in_no_training_scene(run: Path) -> None:
    material = Material.load(run)
    held_out = material.cutouts.held_out
    assert [int(held_out[material.cutouts.labels == i].sum()) for i in range(3)] == [3, 3, 3]
    marked = replace(
        material,
        cutouts=replace(
            material.cutouts,
            images=np.full((len(held_out), SIDE, SIDE, 2), 255, np.uint8)
            * held_out[:, None, None, None],
        ),
        backgrounds=(np.full((256, 256, 1), 128, np.uint8),),
    )
    # Training pictures are transparent here, so that nothing of any of them can be laid.
    assert all(make_scene(marked, False, i, Layout()).boxes == () for i in range(20))
    assert any(make_scene(marked, True, i, Layout()).boxes for i in range(20))


def test_cells_of_a_core_have_its_class_and_the_rim_does_not_count(run: Path) -> None:
    scene = next(
        s for i in range(50) if (s := make_scene(Material.load(run), False, i, Layout())).boxes
    )
    cells = label_cells(scene, 3)
    for (x0, y0, x1, y1), label in zip(scene.boxes, scene.labels, strict=True):
        assert cells[round((y0 + y1) / 8), round((x0 + x1) / 8)] == label
    far = [
        (i, j)
        for i in range(32)
        for j in range(32)
        if all(
            not (b[0] - 8 < 4 * j < b[2] + 8 and b[1] - 8 < 4 * i < b[3] + 8) for b in scene.boxes
        )
    ]
    assert {int(cells[place]) for place in far} == {3}
    assert (cells == IGNORE).any()


def test_ground_alpha_and_soft_rims(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "ground.png"), draw(1, 0))
    disc = cut_out(tmp_path / "ground.png", "grey")
    assert disc.shape == (SIDE, SIDE, 2)
    assert disc[0, 0, 1] == 0
    assert disc[SIDE // 2, SIDE // 2, 1] == 255
    seen = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), seen)
    soft = cut_out(tmp_path / "photo.png", "rgb")
    assert soft.shape == (SIDE, SIDE, 4)
    assert 0 < soft[SIDE // 2, 1, 3] < 255 == soft[SIDE // 2, SIDE // 2, 3]
    alpha = np.zeros((40, 60, 1), np.uint8)
    alpha[10:30, 10:20] = 255
    cv2.imwrite(str(tmp_path / "alpha.png"), np.concatenate([seen, alpha], axis=2))
    own = cut_out(tmp_path / "alpha.png", "rgb")
    assert own[..., 3].any(axis=0).sum() == SIDE // 2
    cv2.imwrite(str(tmp_path / "empty.png"), np.full((30, 30), 200, np.uint8))
    assert cut_out(tmp_path / "empty.png", "grey") is None
    assert not is_coloured(tmp_path / "ground.png")
    assert is_coloured(tmp_path / "photo.png")


def test_huge_pictures_are_shrunk(tmp_path: Path) -> None:
    large = cv2.resize(draw(0, 0), (4000, 3000))
    cv2.imwrite(str(tmp_path / "large.png"), large)
    assert cut_out(tmp_path / "large.png", "grey").shape == (SIDE, SIDE, 2)


def test_colour_is_decided_by_the_pictures_or_by_the_user(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 10, "b": 10}, colour=(30, 60, 250))
    cutouts, channels = read_cutouts(tmp_path, None)
    assert (channels, cutouts.images.shape) == ("rgb", (20, SIDE, SIDE, 4))
    assert tuple(cutouts.images[10, SIDE // 2, SIDE // 2]) == (250, 60, 30, 255)
    assert read_cutouts(tmp_path, "grey")[0].images.shape[3] == 2


def test_a_bad_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    def refused(pattern: str) -> None:
        with pytest.raises(SourceError, match=pattern) as caught:
            read_cutouts(tmp_path / "data", None)
        assert "\n" not in str(caught.value)

    refused("no data folder")
    (tmp_path / "data").mkdir()
    refused("0 class folders .* needs two or more")
    fill(tmp_path / "data", {"one": 12})
    refused(r"1 class folders \('one'\)")
    fill(tmp_path / "data", {"one": 12, "two": 9})
    refused("'two' has 9 usable pictures; every class needs 10 or more")
    fill(tmp_path / "data", {"Two": 12})
    refused("class folders Two, two have one name")
    for path in (tmp_path / "data" / "Two").iterdir():
        path.unlink()
    (tmp_path / "data" / "Two").rename(tmp_path / "data" / "nothing")
    refused("no picture of class 'nothing'")
    fill(tmp_path / "data", {"nothing": 1})
    refused("called 'nothing', which is the name for places without a thing")


def test_what_is_left_out_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, {"a": 90, "b": 12})
    for name, content in {"bad.png": b"no picture", "notes.txt": b"text"}.items():
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "stray.jpg").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a" / "copy.png").write_bytes((tmp_path / "a" / "000.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        cutouts, _ = read_cutouts(tmp_path, None)
    assert cutouts.classes == ("a", "b")
    text = caplog.text
    assert "left out, as they cannot be read: 1, the first: " in text
    assert "2 files are no pictures in a class folder" in text
    assert "left out, as copies of others: 1" in text
    assert "all classes are shown equally often" in text


def test_backgrounds_may_be_photos(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder of backgrounds"):
        read_photos(tmp_path / "none", "grey")
    with pytest.raises(SourceError, match="no photo of at least 64 pixels"):
        read_photos(tmp_path, "grey")
    cv2.imwrite(str(tmp_path / "wall.jpg"), np.full((1200, 900, 3), 90, np.uint8))
    (photo,) = read_photos(tmp_path, "grey")
    assert photo.shape == (512, 384, 1)
    assert read_photos(tmp_path, "rgb")[0].shape == (512, 384, 3)


def test_options_that_do_not_go_together(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs --data DIR"):
        train(TrainArguments(recipe="folder", out=tmp_path / "run"))
    with pytest.raises(UsageError, match="takes no --seeds or --steps"):
        train(TrainArguments(recipe="folder", out=tmp_path / "run", data=pictures, seeds=3))
    with pytest.raises(UsageError, match="are for the recipe 'folder'"):
        train(TrainArguments(recipe="mnist-lenet", out=tmp_path / "r", background=pictures))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        train_folder(SHORT, pictures, Composed(), tmp_path / "full", seed=0)
