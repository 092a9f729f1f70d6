"""Fetch the free material that scene-text training draws on: fonts, words, photos.

Everything comes out of Debian packages (downloaded with `apt-get download`, unpacked with `dpkg
-x`, no root needed) and out of one wheel (scikit-image, for its sample photos; unpacked, never
installed). What was fetched is recorded in `materials.json`: package, version, SHA-256 of the
archive, and the path of its licence text.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from simrun.errors import SourceError
from simtool.files import write_atomic

log = logging.getLogger(__name__)

RECORD_NAME = "materials.json"

# fmt: off
LATIN_FONTS = (
    "fonts-adf-accanthis", "fonts-adf-baskervald", "fonts-adf-gillius", "fonts-adf-ikarius",
    "fonts-adf-mekanus", "fonts-adf-oldania", "fonts-adf-switzera", "fonts-adf-tribun",
    "fonts-adf-universalis", "fonts-adf-verana", "fonts-aenigma", "fonts-allerta",
    "fonts-averia-sans-gwf", "fonts-averia-serif-gwf", "fonts-bebas-neue", "fonts-cabin",
    "fonts-cabinsketch", "fonts-cantarell", "fonts-cherrybomb", "fonts-clear-sans",
    "fonts-comfortaa", "fonts-comic-neue", "fonts-courier-prime", "fonts-dancingscript",
    "fonts-dejavu-core", "fonts-dejavu-extra", "fonts-dosis", "fonts-dseg", "fonts-dustin",
    "fonts-ebgaramond", "fonts-engadget", "fonts-f500", "fonts-freefont-ttf",
    "fonts-gnutypewriter", "fonts-gotico-antiqua", "fonts-humor-sans", "fonts-isabella",
    "fonts-junction", "fonts-jura", "fonts-karla", "fonts-kaushanscript", "fonts-lato",
    "fonts-league-spartan", "fonts-leckerli-one", "fonts-liberation", "fonts-linuxlibertine",
    "fonts-lobster", "fonts-lobstertwo", "fonts-manrope", "fonts-ocr-a", "fonts-ocr-b",
    "fonts-oldstandard", "fonts-open-sans", "fonts-opendin", "fonts-play",
    "fonts-quattrocento", "fonts-roadgeek", "fonts-roboto-slab", "fonts-roboto-unhinted",
    "fonts-sora", "fonts-staypuft", "fonts-texgyre", "fonts-tomsontalks", "fonts-tuffy",
    "fonts-ubuntu-title", "fonts-urw-base35", "fonts-vollkorn", "fonts-yanone-kaffeesatz",
)
# fmt: on
# fmt: off
CJK_FONTS = (
    "fonts-arphic-gbsn00lp", "fonts-arphic-gkai00mp", "fonts-arphic-ukai",
    "fonts-arphic-uming", "fonts-droid-fallback", "fonts-lxgw-wenkai", "fonts-noto-cjk",
    "fonts-smiley-sans", "fonts-wqy-microhei", "fonts-wqy-zenhei",
)
# fmt: on
ICON_FONTS = ("fonts-font-awesome",)
WORDS = ("wamerican",)
# fmt: off
PHOTOS = (
    "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds", "opencv-doc",
    "plasma-workspace-wallpapers", "ukui-wallpapers", "torcs-data", "flightgear-data-base",
    "supertuxkart-data",
)
# fmt: on
PHOTO_WHEEL = "scikit-image==0.25.2"


@dataclass(frozen=True, slots=True)
class FetchedPackage:
    """One fetched archive.

    Attributes:
        package: name in its registry.
        version: version as fetched.
        sha256: of the archive, hex.
        kind: "latin-font", "cjk-font", "icon-font", "words" or "photo".
        licence: path of the licence text below the data folder.
    """

    package: str
    version: str
    sha256: str
    kind: str
    licence: str


def fetch_materials(data_dir: Path) -> list[FetchedPackage]:
    """Fetch every package not yet unpacked below `data_dir` and write `materials.json` there.

    Layout: `data_dir/<kind>/<package>/...` as the package holds it. A package that is there
    already is kept, so an interrupted fetch goes on where it stopped.

    Raises:
        SourceError: a package client is missing or reported an error.
    """
    groups = {
        "latin-font": LATIN_FONTS,
        "cjk-font": CJK_FONTS,
        "icon-font": ICON_FONTS,
        "words": WORDS,
        "photo": PHOTOS,
    }
    record = data_dir / RECORD_NAME
    known = {m.package: m for m in read_record(data_dir)} if record.is_file() else {}
    for kind, packages in groups.items():
        for package in packages:
            if package not in known:
                known[package] = _fetch_deb(package, kind, data_dir)
                _write_record(record, known.values())
    if "scikit-image" not in known:
        known["scikit-image"] = _fetch_wheel(PHOTO_WHEEL, "photo", data_dir)
        _write_record(record, known.values())
    return list(known.values())


def read_record(data_dir: Path) -> list[FetchedPackage]:
    """What `fetch_materials` recorded below `data_dir`.

    Raises:
        SourceError: nothing was fetched there yet, or the record is damaged.
    """
    path = data_dir / RECORD_NAME
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [FetchedPackage(**row) for row in rows]
    except OSError as error:
        raise SourceError(
            f"no training material in {data_dir}; run 'simtool fetch scene-text --out {data_dir}'"
        ) from error
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path} is damaged ({error}); fetch into another folder") from error


def _write_record(path: Path, materials: Iterable[FetchedPackage]) -> None:
    rows = [asdict(m) for m in materials]
    write_atomic(path, (json.dumps(rows, indent=1) + "\n").encode())


def _fetch_deb(package: str, kind: str, data_dir: Path) -> FetchedPackage:
    target = data_dir / kind / package
    with _Staging(target) as stage:
        _run(["apt-get", "download", "-qq", package], cwd=stage)
        (archive,) = stage.glob("*.deb")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        version = archive.name.split("_")[1]
        _run(["dpkg", "-x", archive.name, "."], cwd=stage)
        archive.unlink()
        stage.rename(target)
    licence = f"{kind}/{package}/usr/share/doc/{package}/copyright"
    log.info("fetched %s %s", package, version)
    return FetchedPackage(package, version, digest, kind, licence)


def _fetch_wheel(requirement: str, kind: str, data_dir: Path) -> FetchedPackage:
    name, version = requirement.split("==")
    target = data_dir / kind / name
    with _Staging(target) as stage:
        _run(
            ["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", ".", requirement],
            cwd=stage,
        )
        (archive,) = stage.glob("*.whl")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        with zipfile.ZipFile(archive) as wheel:
            kept = [n for n in wheel.namelist() if "/data/" in n or "LICENSE" in n]
            wheel.extractall(stage, kept)
        archive.unlink()
        stage.rename(target)
    licences = sorted(p.relative_to(data_dir).as_posix() for p in target.rglob("LICENSE*"))
    return FetchedPackage(name, version, digest, kind, licences[0])


class _Staging:
    """A scratch folder that is gone afterwards unless it was renamed to `target`."""

    def __init__(self, target: Path) -> None:
        self._path = target.with_name(target.name + ".partial")
        self._target = target

    def __enter__(self) -> Path:
        shutil.rmtree(self._path, ignore_errors=True)
        shutil.rmtree(self._target, ignore_errors=True)
        self._path.mkdir(parents=True)
        return self._path

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _run(command: Sequence[str], cwd: Path) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise SourceError(
            f"{command[0]} is not installed: needed to fetch training material"
        ) from err
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SourceError(f"{' '.join(command)} failed: {last}")
