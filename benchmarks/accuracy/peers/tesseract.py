"""Tesseract's page layout analysis (no reading), through the C interface of Debian's library."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Iterator

from benchmarks.accuracy.peers.classical import shrink_grey
from benchmarks.accuracy.peers.detector import Card, Frame, MissingPeerError, Quads

_SPARSE_TEXT = 11
"""Page segmentation mode: find as much text as possible, in no order."""
_TEXT_LINE = 2
"""Level of the page that the iterator steps over."""
_FIRST_TEXT, _LAST_TEXT = 1, 8
"""Kinds of blocks: these and what lies between are text, the others pictures and rules."""
_NO_MESSAGES = 6


class Tesseract:
    """Text lines as the layout analysis finds them, upright boxes."""

    def __init__(self, side: int) -> None:
        """Detect at this longer side in pixels.

        Raises:
            MissingPeerError: the library is not installed.
        """
        self._library = load_library()
        self._api = ctypes.c_void_p(self._library.TessBaseAPICreate())
        self._library.TessBaseAPIInitForAnalysePage(self._api)
        self._library.TessBaseAPISetPageSegMode(self._api, _SPARSE_TEXT)
        # It tells of every guess on standard error otherwise.
        self._library.TessBaseAPISetVariable(self._api, b"debug_file", os.devnull.encode())
        settings = {"version": self._library.TessVersion().decode(), "psm": _SPARSE_TEXT}
        self.card = Card("Tesseract layout", side, settings)

    def detect(self, frame: Frame) -> Quads:
        """Lines of one frame."""
        grey, scale = shrink_grey(frame, self.card.side)
        height, width = grey.shape
        self._library.TessBaseAPISetImage(self._api, grey.tobytes(), width, height, 1, width)
        lines = list(self._lines())
        self._library.TessBaseAPIClear(self._api)
        return [
            [(x / scale, y / scale) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
            for x0, y0, x1, y1 in lines
        ]

    def _lines(self) -> Iterator[tuple[int, int, int, int]]:
        """Boxes x0, y0, x1, y1 of the lines of the image that was set, in its pixels."""
        page = self._library.TessBaseAPIAnalyseLayout(self._api)
        if not page:
            return
        iterator, corners = ctypes.c_void_p(page), [ctypes.c_int() for _ in range(4)]
        more = True
        while more:
            kind = self._library.TessPageIteratorBlockType(iterator)
            found = self._library.TessPageIteratorBoundingBox(
                iterator, _TEXT_LINE, *map(ctypes.byref, corners)
            )
            if found and _FIRST_TEXT <= kind <= _LAST_TEXT:
                x0, y0, x1, y1 = (corner.value for corner in corners)
                yield x0, y0, x1, y1
            more = bool(self._library.TessPageIteratorNext(iterator, _TEXT_LINE))
        self._library.TessPageIteratorDelete(iterator)


def load_library() -> ctypes.CDLL:
    """The library with the types of the functions that are used.

    Raises:
        MissingPeerError: it is not installed.
    """
    # Read once, when the library starts its threads.
    os.environ["OMP_THREAD_LIMIT"] = "1"
    name = ctypes.util.find_library("tesseract")
    if name is None:
        raise MissingPeerError("no libtesseract; it comes with Debian's package tesseract-ocr")
    library = ctypes.CDLL(name)
    _silence_images()
    handle, number = ctypes.c_void_p, ctypes.c_int
    library.TessVersion.restype = ctypes.c_char_p
    library.TessBaseAPICreate.restype = handle
    library.TessBaseAPISetVariable.argtypes = [handle, ctypes.c_char_p, ctypes.c_char_p]
    library.TessBaseAPIInitForAnalysePage.argtypes = [handle]
    library.TessBaseAPISetPageSegMode.argtypes = [handle, number]
    library.TessBaseAPISetImage.argtypes = [handle, ctypes.c_char_p, *[number] * 4]
    library.TessBaseAPIClear.argtypes = [handle]
    library.TessBaseAPIAnalyseLayout.argtypes = [handle]
    library.TessBaseAPIAnalyseLayout.restype = handle
    pointer = ctypes.POINTER(number)
    library.TessPageIteratorBlockType.argtypes = [handle]
    library.TessPageIteratorBoundingBox.argtypes = [handle, number, *[pointer] * 4]
    library.TessPageIteratorNext.argtypes = [handle, number]
    library.TessPageIteratorDelete.argtypes = [handle]
    return library


def _silence_images() -> None:
    """Keep Tesseract's imaging library from reporting boxes that leave the image."""
    name = ctypes.util.find_library("lept") or ctypes.util.find_library("leptonica")
    if name is not None:
        ctypes.CDLL(name).setMsgSeverity(_NO_MESSAGES)
