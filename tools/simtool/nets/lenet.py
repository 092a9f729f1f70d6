"""LeNet as the paper's Table 1 has it."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from simtool.nets.base import NetSpec, SplitNet

SPEC = NetSpec(name="lenet", classes=tuple("0123456789"), layer="trunk.relu2", crop_size=28)


def lenet() -> SplitNet:
    """Table 1: conv 5x5x6 pad 2, pool, conv 5x5x16 pad 2, pool, fully connected 120, 84, 10.

    The trunk ends with the ReLU output of the second convolution, (N, 16, h / 2, w / 2): the
    last convolutional layer's response before it is pooled.
    """
    trunk = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, kernel_size=5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, kernel_size=5, padding=2),
            relu2=nn.ReLU(),
        )
    )
    head = nn.Sequential(
        OrderedDict(
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * 7 * 7, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, 10),
        )
    )
    net = SplitNet(SPEC, trunk, head)
    net.apply(_initialise)
    return net


def _initialise(module: nn.Module) -> None:
    """Glorot-uniform weights and zero biases (Glorot & Bengio 2010).

    The paper does not say; its "lr decay" is an option of Keras' Adam, and this is what Keras does.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
