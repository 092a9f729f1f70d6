from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.nets.determinism import check_determinism
from tests.simtool.example_nets import ResNet, settled

pytestmark = pytest.mark.usefixtures("double")


class Dropping(nn.Module):
    """Whose dropout does not know of evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(x.flatten(1), 0.5))


class Listed(nn.Module):
    """Whose batch norm is in a plain list, where eval() does not reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [nn.BatchNorm2d(3)]
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.hidden[0](x).flatten(1))


class Training(nn.Module):
    """Which puts its batch norm back into training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.bn.train()(x).flatten(1))


class Counting(nn.Module):
    """Which keeps a mean of what it has seen."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 3)
        self.register_buffer("mean", torch.zeros(12), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.flatten(1).mean(0)
        return self.fc(x.flatten(1) - self.mean)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Dropping, "other logits when it sees the same pictures again"),
        (Listed, "depend on what else is in the batch"),
        (Training, r"changes 'bn\.running_mean' each time .* \(in training mode: bn\)"),
        (Counting, "changes 'mean' each time it is called"),
    ],
)
def test_what_is_not_a_function_of_the_image_alone_is_refused(
    model: type[nn.Module], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        check_determinism(model().eval(), torch.randn(4, 3, 2, 2))


def test_an_ordinary_network_is_not_refused() -> None:
    check_determinism(settled(ResNet()), torch.randn(4, 3, 8, 8))
