"""The table of what OpenCV's threads cost."""

from __future__ import annotations

from benchmarks.opencv_threads import to_markdown


def test_each_frame_has_a_row_for_each_number_of_threads() -> None:
    def times(*ms: float) -> dict[str, list[float]]:
        return {"wall_ms": list(ms), "cpu_ms": [2 * one for one in ms]}

    record = {
        "date": "2026-01-02",
        "machine": {"processor": "a processor"},
        "opencv": "5.0",
        "threads": (1, 4),
        "rows": [{"frame": (640, 480), "1": times(1, 2, 3), "4": times(5, 5, 5)}],
    }
    text = to_markdown(record)
    assert "2026-01-02, a processor, OpenCV 5.0" in text
    assert text.splitlines()[-2:] == [
        "| 640x480 | 1 | 2.00 (1.50 to 2.50) | 4.00 (3.00 to 5.00) |",
        "| 640x480 | 4 | 5.00 (5.00 to 5.00) | 10.00 (10.00 to 10.00) |",
    ]
