from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simrun.errors import ModelError, SourceError, UsageError
from simtool.ablation.criteria import Units
from simtool.ablation.head import Head, fit_head, named_head
from simtool.nets.imported import ForeignNet, ForeignSpec, InputFormat

pytestmark = pytest.mark.usefixtures("double")

ROOT = Path("pics")
IMAGENET = ("n01 tench, Tinca tinca", "n02 goldfish", "crane", "crane", "n05 box turtle")


def takes(classes: str = "", numbers: str = "", outputs: tuple[str, ...] = ()) -> InputFormat:
    return InputFormat(
        classes=tuple(classes.split()) or None,
        numbers=tuple(numbers.split()) or None,
        outputs=outputs or None,
    )


@pytest.mark.parametrize(
    ("asked", "known", "head"),
    [
        (takes(), (), Head(None)),
        (takes("b a"), (), Head(("b", "a"))),
        (takes(), ("b", "a"), Head(("b", "a"))),
        (takes("a b", "7 5"), (), Head(("a", "b"), (7, 5))),
        (takes("a b", "goldfish n01"), IMAGENET, Head(("a", "b"), (1, 0))),
        (takes("a b", "tinca_tinca 4", IMAGENET), (), Head(("a", "b"), (0, 4))),
        (takes(outputs=("x", "b", "a")), (), Head(("b", "a"), (1, 2))),
        (takes(), ("a", "x", "b"), Head(("a", "b"), (0, 2))),
    ],
)
def test_folders_are_outputs_by_order_number_or_name(
    asked: InputFormat, known: tuple[str, ...], head: Head
) -> None:
    assert named_head(["a", "b"], asked, known) == head


@pytest.mark.parametrize(
    ("numbers", "message"),
    [("crane 1", r"'crane' is the name of the outputs 2, 3"), ("dog 1", "none of the 5 names")],
)
def test_a_name_of_no_or_two_outputs_is_refused(numbers: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        named_head(["a", "b"], takes("a b", numbers), IMAGENET)


class Ending(nn.Module):
    """A linear network with something at its end."""

    def __init__(self, outputs: int, end: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.fc = nn.Linear(12, outputs)
        self.end = end or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.fc(x.flatten(1)))


def fitted(model: nn.Module, head: Head) -> tuple[ForeignNet, Tensor]:
    net = ForeignNet(ForeignSpec("x", (), "fc", 8, 3), model.eval())
    images = 9 * torch.randn(6, 3, 2, 2)
    return fit_head(net, images, head, ROOT), images


def test_folders_that_are_some_of_many_outputs_are_measured_among_themselves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Ending(1000)
    with caplog.at_level(logging.INFO, "simtool"):
        net, images = fitted(model, Head(("box", "disc"), (207, 5)))
    assert torch.equal(net(images), model(images)[:, [207, 5]])
    assert net.spec.classes == ("box", "disc")
    assert "2 of 1000 outputs have a class folder" in caplog.text
    assert ForeignSpec.from_json(net.spec.to_json()) == net.spec


@pytest.mark.parametrize("end", [nn.Identity(), lambda z: z.squeeze(1), torch.squeeze])
def test_one_output_is_two_classes_by_its_sigmoid(
    end: Callable[[Tensor], Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    model = Ending(1, end)
    with caplog.at_level(logging.INFO, "simtool"):
        net, images = fitted(model, Head(("no", "yes")))
    assert (
        "below 0 it says 'no', above 'yes' (the other way round: --classes yes,no)" in caplog.text
    )
    z = model.fc(images.flatten(1))[:, 0]
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    measured = Units.of(labels, 2).measure(net(images)[None])
    sign = labels * 2 - 1
    loss = F.binary_cross_entropy_with_logits(z, labels.double(), reduction="none")
    assert torch.allclose(measured["loss"][0], loss)
    assert torch.equal(measured["error"][0], ((z > 0) != labels.bool()).double())
    assert torch.allclose(measured["margin"][0], sign * z)
    assert torch.allclose(measured["logit"][0], sign * z / 2)


@pytest.mark.parametrize(
    ("end", "outputs", "said"),
    [
        (nn.Softmax(1), 3, "those of a softmax: error is right, but loss"),
        (nn.LogSoftmax(1), 3, "those of a log-softmax: error, loss and margin are right"),
        (nn.Sigmoid(), 3, "between 0 and 1, as those of a sigmoid"),
        (nn.Sigmoid(), 1, "error would be wrong, as no answer is below 0"),
        (nn.Identity(), 3, ""),
        (nn.Identity(), 1, ""),
    ],
)
def test_probabilities_are_not_taken_for_logits_without_a_word(
    end: nn.Module, outputs: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "simtool"):
        fitted(Ending(outputs, end), Head(tuple("ab" if outputs == 1 else "abc")))
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


def raising(z: Tensor) -> Tensor:
    raise KeyError("task")


@pytest.mark.parametrize(
    ("model", "head", "kind", "message"),
    [
        (Ending(1000), Head(("a", "b")), SourceError, r"1000 outputs, pics has 2 .* a=N,b=N, or"),
        (Ending(1), Head(("a", "b", "c")), SourceError, "has 1 outputs, pics has 3"),
        (Ending(9), Head(("a", "b"), (3, 9)), UsageError, r"outputs \(3, 9\) of 9, which start at"),
        (Ending(9), Head(("a", "b"), (3, 3)), UsageError, "each folder needs one of its own"),
        (Ending(3, raising), Head(("a", "b", "c")), ModelError, r"fails on images .*task"),
        (Ending(3, lambda z: {"out": z}), Head(("a", "b")), ModelError, "gives 'dict', not logits"),
        (
            Ending(3, lambda z: z[None]),
            Head(("a", "b")),
            ModelError,
            r"gives \(1, 6, 3\), not logi",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_one_line(
    model: nn.Module, head: Head, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        fitted(model.double(), head)
    assert "\n" not in str(caught.value)
