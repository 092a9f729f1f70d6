from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from simrun.bundle.load import load_bundle
from simrun.errors import SourceError, UsageError
from simrun.images.read import Image
from simrun.localizer import Localizer
from simrun.recognition.crops import character_crops
from simtool.cli.export import ExportArguments, export
from simtool.data.labels import IGNORE, STRIDE
from simtool.data.text import splits
from simtool.data.text.blocks import Block
from simtool.data.text.canvas import Canvas, SceneConfig, SceneMaterials
from simtool.data.text.characters import glyphs
from simtool.data.text.glyphs import CLASS_NAMES, render_line
from simtool.data.text.labelling import label
from simtool.data.text.scenes import make_scene
from simtool.data.text.store import SceneStore, StoreRecipe, build_store
from simtool.data.text.textures import random_texture
from simtool.export.heatmap_scale import best_threshold, fit_slope
from simtool.nets import build_net
from simtool.runs.checkpoint import read_checkpoint
from simtool.runs.folder import RunFolder
from simtool.runs.recipes import RECIPES, SceneRecipe, recipe_from_json
from simtool.training.text import to_tensors, train_scenes, window_loss
from tests.simtool.material import tiny_materials
from tests.simtool.program import assert_fails, invoke

CONFIG = SceneConfig(size=64, min_text_height=10, max_text_height=24)
RECIPE = SceneRecipe(
    name="scene-text",
    net="scene-text",
    data="scene-text",
    scenes=8,
    cycles=(2, 1),
    steps=2,
    batch=2,
    learning_rate=3e-3,
    warmup=2,
    weight_decay=1e-4,
    hard_negatives=3.0,
    averaging=0.9,
    bfloat16=False,
)


@pytest.fixture(scope="session")
def materials() -> SceneMaterials:
    return tiny_materials()


@pytest.fixture(scope="session")
def store(materials: SceneMaterials, tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    recipe = StoreRecipe(CONFIG, 0, "material", shard=4)
    return build_store(tmp_path_factory.mktemp("scenes"), recipe, lambda: materials, 8)


@pytest.fixture(scope="session")
def run(store: SceneStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of six steps."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    train_scenes(RECIPE, store, store, "data", folder, 0)
    return folder


def test_labels_lie_on_what_was_drawn(materials: SceneMaterials) -> None:
    line = render_line(materials.latin[0][0], "Hi", 24)
    assert line is not None
    scene = Canvas(np.zeros((64, 64), np.float32), CONFIG)
    shift = np.array([[1, 0, 12], [0, 1, 20], [0, 0, 1]], np.float64)
    label(scene, Block(line.ink, [line]), shift)
    height, width = line.ink.shape
    named = {CLASS_NAMES[c] for c in np.unique(scene.labels) if c != IGNORE}
    assert named == {"no text", "H", "I"}
    rows, columns = np.nonzero((scene.labels > 0) & (scene.labels != IGNORE))
    assert (STRIDE * rows).min() >= 20
    assert (STRIDE * rows).max() <= 20 + height
    assert (STRIDE * columns).min() >= 12 - STRIDE
    assert (STRIDE * columns).max() <= 12 + width + STRIDE
    assert scene.labels[0, 0] == 0
    assert (scene.heights > 0).sum() == len(rows)
    centre = round((20 + height / 2) / STRIDE), round(12 / STRIDE) + 1
    assert CLASS_NAMES[scene.labels[centre]] == "H"


def test_same_seed_same_scene(materials: SceneMaterials) -> None:
    one, again = (make_scene(materials, CONFIG, 5, 1) for _ in range(2))
    other = make_scene(materials, CONFIG, 5, 2)
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.labels, again.labels)
    assert not np.array_equal(one.image, other.image)
    assert one.image.shape == (64, 64)
    assert one.labels.shape == (16, 16)


def test_scenes_without_text_have_no_label(materials: SceneMaterials) -> None:
    config = dataclasses.replace(CONFIG, no_text=1.0, icons=0.0)
    assert not any(make_scene(materials, config, 0, i).labels.any() for i in range(5))


def test_textures_are_pictures() -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        picture = random_texture(random, 48)
        assert picture.shape == (48, 48)
        assert picture.dtype == np.uint8


def test_store_goes_on_and_refuses_another_recipe(
    materials: SceneMaterials, tmp_path: Path, store: SceneStore
) -> None:
    recipe = StoreRecipe(CONFIG, 0, "material", shard=4)
    build_store(tmp_path / "s", recipe, lambda: materials, 4)
    first = tmp_path / "s" / "00000.images.npy"
    before = first.stat().st_mtime_ns
    longer = build_store(tmp_path / "s", recipe, lambda: materials, 8)
    assert first.stat().st_mtime_ns == before
    assert np.array_equal(longer.read(np.arange(8)).images, store.read(np.arange(8)).images)
    with pytest.raises(SourceError, match="another recipe"):
        build_store(tmp_path / "s", dataclasses.replace(recipe, seed=1), lambda: materials, 4)
    with pytest.raises(SourceError, match="fewer than 9 scenes"):
        SceneStore(tmp_path / "s", 9)


def test_scenes_of_former_labels_are_refused(materials: SceneMaterials, tmp_path: Path) -> None:
    recipe = StoreRecipe(CONFIG, 0, "material", shard=4)
    build_store(tmp_path / "s", recipe, lambda: materials, 4)
    written = tmp_path / "s" / "recipe.json"
    former = json.loads(written.read_text())
    del former["schema"]
    written.write_text(json.dumps(former))
    with pytest.raises(SourceError, match="another recipe"):
        build_store(tmp_path / "s", recipe, lambda: materials, 4)


def test_crops_of_characters_are_bright_and_of_one_character_each(
    materials: SceneMaterials,
) -> None:
    crops, labels = glyphs(materials.latin[0], 12, 0)
    assert crops.shape == (12, 28, 28)
    assert labels.max() < 36
    assert (crops.max((1, 2)) > 150).all()
    assert all(len(character_crops(np.pad(crop, 2), 28)) == 1 for crop in crops)


def test_resumed_equals_uninterrupted(store: SceneStore, run: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    class Stopping(SceneStore):
        def __init__(self) -> None:
            self.reads = 0

        def __len__(self) -> int:
            return len(store)

        def read(self, indices: np.ndarray) -> object:  # type: ignore[override]
            self.reads += 1
            if self.reads > 3:
                raise StoppedError
            return store.read(indices)

    folder = tmp_path / "run"
    with pytest.raises(StoppedError):
        train_scenes(RECIPE, Stopping(), store, "data", folder, 0)
    assert read_checkpoint(folder).epoch == 1
    history = train_scenes(RECIPE, store, store, "data", folder, 0)
    assert read_checkpoint(folder).sha256 == read_checkpoint(run).sha256
    whole = RunFolder.open(run).history(3)
    assert [h["loss"] for h in history] == [h["loss"] for h in whole]
    assert {"f1", "threshold", "test"} <= whole[-1].keys()


def test_a_run_of_another_recipe_is_refused(store: SceneStore, run: Path) -> None:
    with pytest.raises(UsageError, match="another recipe"):
        train_scenes(dataclasses.replace(RECIPE, batch=4), store, store, "data", run, 0)


def test_recipe_survives_json_and_shortening() -> None:
    recipe = RECIPES["scene-text"]
    assert isinstance(recipe, SceneRecipe)
    assert recipe_from_json(json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe
    assert recipe.shortened(1000).cycles == (2,)
    assert recipe.shortened(7).steps == 7
    with pytest.raises(UsageError, match="multiple"):
        recipe.shortened(501)


def test_learning_rate_restarts_lower() -> None:
    rates = [RECIPE.rate(step) for step in range(7)]
    assert rates[1] == pytest.approx(3e-3 * 0.5 * (1 + np.cos(np.pi / 4)))
    assert rates[4] == pytest.approx(0.5 * 0.6 * 3e-3)  # its first step is half warm
    assert rates[6] == 0


def test_loss_counts_text_and_the_worst_of_the_rest() -> None:
    labels = torch.zeros(1, 20, 20, dtype=torch.int64)
    labels[0, 0, :3] = torch.tensor([1, 1, IGNORE])
    heights = torch.zeros(1, 20, 20)
    heights[0, 0, :2] = torch.tensor([24.0, 96.0])  # four times as tall counts half
    odds = torch.full((1, 20, 20), -3.0)
    odds[0, 0, :3] = torch.tensor([1.0, -1.0, 9.0])
    odds[0, 1:14] = 0.5  # 260 windows: three times the text's 1.5, and 256 an image
    logits = torch.stack([torch.zeros_like(odds), odds], dim=1)
    text, rest = np.log1p(np.exp(-1)) + 0.5 * np.log1p(np.exp(1)), np.log1p(np.exp(0.5))
    wanted = (text + 260 * rest) / (1.5 + 260)
    assert float(window_loss(logits, labels, heights, 3.0)) == pytest.approx(wanted)


def test_characters_become_one_class(store: SceneStore) -> None:
    batch = store.read(np.arange(8))
    _, labels, _ = to_tensors(batch)
    assert set(labels.flatten().tolist()) <= {0, 1, IGNORE}
    assert np.array_equal(labels.numpy() == IGNORE, batch.labels == IGNORE)


def test_slope_and_threshold_of_two_normal_classes() -> None:
    random = np.random.default_rng(0)
    text = np.arange(200_000) % 2 == 0
    sums = np.where(text, 1.0, -1.0) + random.normal(0, 1, len(text))
    assert fit_slope(sums, text) == pytest.approx(2, rel=0.02)  # the log odds are twice the sum
    # F1 is best where the chance of text is half of that F1, 0.85. It is flat there.
    assert best_threshold(sums, text) == pytest.approx(np.log(0.425 / 0.575) / 2, abs=0.1)


@pytest.fixture(scope="session")
def bundle(run: Path, store: SceneStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, ablated on its own scenes and exported; its reader is an untrained network."""
    from simtool.cli.ablate import AblateArguments, ablate
    from simtool.runs.checkpoint import Checkpoint
    from simtool.runs.folder import RunConfig

    patch = pytest.MonkeyPatch()
    patch.setattr(splits, "open_store", lambda folder, seed, count: store)
    reader = tmp_path_factory.mktemp("characters") / "run"
    recipe = RECIPES["characters"]
    characters = RunFolder.create(reader, RunConfig(recipe, 0, "data"))
    weights = build_net("characters").state_dict()
    test = {"overall": 0.5, "per_class": [0.5] * 36}
    characters.save(Checkpoint("characters", 1, weights, {}), [{"test": test}])
    out = tmp_path_factory.mktemp("bundle") / "small"
    try:
        summary = ablate(
            AblateArguments(run=run, split="test", weighting="paper-code", resamples=10)
        )
        assert summary["weighting"]["background"] == "no text"
        report = export(
            ExportArguments(run=run, out=out, weighting="paper-code", side=64, classifier=reader)
        )
    finally:
        patch.undo()
    assert report["difference_to_pytorch"]["localizer"] <= 1e-5
    assert (report["stride"], report["offset"], report["receptive_field"]) == (4, 0, 225)
    return out


def test_bundle_answers_between_0_and_1_and_reads_36_classes(bundle: Path) -> None:
    localizer = Localizer(load_bundle(bundle), side=64)
    frame: Image = np.random.default_rng(0).integers(0, 256, (60, 64), dtype=np.uint8)
    heatmap = localizer(frame).heatmap
    assert heatmap is not None
    assert heatmap.values.min() >= 0
    assert heatmap.values.max() <= 1
    assert localizer.meta.classes == tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert localizer.meta.polarity == "both"
    assert localizer.meta.export["calibration"]["temperature"] > 0
    import onnx

    graph = onnx.load_model_from_string(load_bundle(bundle).localizer).graph
    kinds = {node.op_type for node in graph.node}
    of_sizes = {"Shape", "Squeeze", "Div", "Reshape", "Concat"}
    assert kinds - of_sizes == {"Cast", "Conv", "Relu", "Resize", "Add", "Sigmoid"}


def test_bundle_is_exported_again_without_its_data(bundle: Path, tmp_path: Path) -> None:
    report = export(ExportArguments(run=bundle, out=tmp_path / "small"))
    assert report["weighting"]["method"] == "paper-code"
    again, first = load_bundle(tmp_path / "small"), load_bundle(bundle)
    assert again.meta.export == first.meta.export
    assert again.classifier is not None


def test_export_refuses_one_polarity_and_valid_padding(bundle: Path, tmp_path: Path) -> None:
    from simrun.errors import ModelError

    with pytest.raises(UsageError, match="both polarities"):
        export(ExportArguments(run=bundle, out=tmp_path / "a", polarity="dark"))
    with pytest.raises(ModelError, match="--padding same"):
        export(ExportArguments(run=bundle, out=tmp_path / "a", padding="valid"))


@pytest.mark.parametrize("recipe", ["scene-text", "characters"])
def test_missing_material_names_the_command(recipe: str, tmp_path: Path) -> None:
    result = invoke("train", recipe, "--data", tmp_path, "--out", tmp_path / "run")
    assert_fails(result, SourceError, f"simtool fetch scene-text --out {re.escape(str(tmp_path))}")


def test_steps_are_for_scenes_alone(tmp_path: Path) -> None:
    result = invoke("train", "mnist-lenet", "--steps", 5, "--out", tmp_path / "run")
    assert_fails(result, UsageError, "leave --steps out")
