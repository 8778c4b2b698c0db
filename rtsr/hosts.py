"""Where mpv and VapourSynth keep scripts, and copying ours there."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rtsr.errors import SinkError
from rtsr.resources import folder
from rtsr.sink.names import check_folder

SCRIPTS = {"mpv.vpy": "mpv", "upscale.vpy": "vapoursynth"}
"""Each script's host."""


def host_folder(host: str, environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder of the user's own scripts of `host`: mpv's configuration, or VapourSynth's.

    mpv's manual, "Files": $MPV_HOME, else %APPDATA%/mpv on Windows, else $XDG_CONFIG_HOME/mpv, else ~/.config/mpv.
    """
    if host == "mpv" and environment.get("MPV_HOME"):
        return Path(environment["MPV_HOME"])
    if platform == "win32":
        return Path(environment.get("APPDATA") or Path.home() / "AppData" / "Roaming") / host
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / host


def install(targets: Mapping[str, Path], overwrite: bool = False) -> list[Path]:
    """Copy the scripts of the hosts in `targets` into their folders, which are made; returns what was written.

    Raises SinkError where another file has the name, unless `overwrite`, or where nothing can be written.
    """
    jobs = [(folder("filters") / name, targets[host] / name) for name, host in SCRIPTS.items() if host in targets]
    for script, target in jobs:
        above = next(path for path in target.absolute().parents if path.exists())
        if not above.is_dir():
            raise SinkError(f"{above} is a file, not a folder; name another with --{SCRIPTS[target.name]}")
        if target.exists() and not overwrite and target.read_bytes() != script.read_bytes():
            raise SinkError(f"{target} exists and differs; replace it with --overwrite")
    for script, target in jobs:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            check_folder(target)
            shutil.copyfile(script, target)
        except OSError as cause:
            raise SinkError(f"cannot write {target}: {cause.strerror}") from cause
    return [target for _, target in jobs]
