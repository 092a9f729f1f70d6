from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from simrun.errors import ModelError, SimError, UsageError
from simtool.nets.imported import ForeignSpec, InputFormat, load_imported, make_model
from tests.simtool.example_nets import ResNet, settled

SPEC = ForeignSpec("a.module:build", ("cat", "dog"), "layer4", 64, 3, mean=(0.5,), std=(0.25,))


def test_a_specification_is_read_as_it_was_written() -> None:
    assert ForeignSpec.from_json({**SPEC.to_json(), "classes": ["cat", "dog"]}) == SPEC


def test_a_field_of_earlier_versions_is_read_over_and_an_unknown_one_is_not() -> None:
    assert ForeignSpec.from_json({**SPEC.to_json(), "whole": False}) == SPEC
    with pytest.raises(TypeError, match="colour"):
        ForeignSpec.from_json({**SPEC.to_json(), "colour": 1})


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module into the working directory; gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(text: str) -> str:
        name = f"network_{abs(hash(text))}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("def build(): raise KeyError('x')", ModelError, r"build\(\) fails: KeyError: 'x'"),
        ("def build(): raise SystemExit('no')", ModelError, r"fails: SystemExit: no"),
        ("def build(): assert False", ModelError, "fails: AssertionError; the factory"),
        ("def build(): raise ValueError('a\\nb')", ModelError, "fails: ValueError: a; the"),
        ("def build(x): return x", ModelError, "must take no arguments"),
        ("def build(): return 3", ModelError, "gives a int, not a torch.nn.Module"),
        ("import sys; sys.exit(1)", ModelError, "importing it fails: SystemExit: 1"),
        ("1 / 0", ModelError, "importing it fails: ZeroDivisionError: division by zero"),
        ("def build(:", ModelError, "importing it fails: SyntaxError"),
        ("import nowhere_at_all", UsageError, "cannot import .* 'nowhere_at_all'"),
        ("from torch import nn", UsageError, "has no 'build'"),
    ],
)
def test_whatever_a_factory_raises_is_one_line(
    module: Callable[[str], str], text: str, kind: type[SimError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        make_model(f"{module(text)}:build")
    assert "\n" not in str(caught.value)


def test_wrappers_of_a_network_go_and_a_script_is_refused(module: Callable[[str], str]) -> None:
    head = "import torch\nfrom torch import nn\n"
    compiled = module(head + "def build(): return torch.compile(nn.DataParallel(nn.Linear(2, 3)))")
    assert type(make_model(f"{compiled}:build")) is nn.Linear
    script = module(head + "def build(): return torch.jit.script(nn.Linear(2, 3))")
    with pytest.raises(ModelError, match=r"a script \(torch\.jit\), whose layers"):
        make_model(f"{script}:build")


def test_a_module_beside_the_network_does_not_shadow_a_library(
    module: Callable[[str], str], tmp_path: Path
) -> None:
    make_model(f"{module('from torch import nn; build = nn.Identity')}:build")
    assert sys.path[0] != str(tmp_path)
    assert str(tmp_path) in sys.path


def computed(kind: str) -> nn.Module:
    model = ResNet()
    conv = model.layer2[1].conv2
    ways: dict[str, Callable[[], object]] = {
        "weight norm": lambda: nn.utils.parametrizations.weight_norm(conv),
        "old weight norm": lambda: nn.utils.weight_norm(conv),
        "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(conv),
        "old spectral norm": lambda: nn.utils.spectral_norm(conv),
        "orthogonal": lambda: nn.utils.parametrizations.orthogonal(model.fc),
        "pruned": lambda: prune.l1_unstructured(conv, "weight", 0.5),
    }
    ways[kind]()
    return model


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "kind",
    [
        "weight norm",
        "old weight norm",
        "spectral norm",
        "old spectral norm",
        "orthogonal",
        "pruned",
    ],
)
def test_weights_that_are_computed_become_plain_ones(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = settled(computed(kind))
    torch.save(model.state_dict(), tmp_path / "w.pt")
    monkeypatch.setattr(sys.modules[__name__], "made", lambda: computed(kind), raising=False)
    takes = InputFormat(size=16, mean=(0.0,), std=(1.0,))
    net, _ = load_imported(f"{__name__}:made", tmp_path / "w.pt", takes)
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(net(images), model(images), atol=1e-6)
    assert net.model.state_dict().keys() == ResNet().state_dict().keys()
    assert isinstance(net.model.layer2[1].conv2.weight, nn.Parameter)
