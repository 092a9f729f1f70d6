"""What the paper reports, for comparison."""

from __future__ import annotations

from typing import Final

TABLE_2_RECIPE: Final = "mnist-lenet"
"""Recipe whose accuracies Table 2 can be compared with."""
TABLE_2_PERCENT: Final = (
    *(99.59, 99.47, 99.90, 98.51, 99.08),
    *(98.32, 98.23, 98.64, 97.43, 97.92),
)
"""Test accuracy of the digits 0 to 9."""
TABLE_2_OVERALL_PERCENT: Final = 98.73
