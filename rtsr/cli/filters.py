"""`rtsr filters`: scripts for mpv and VapourSynth."""

from pathlib import Path
from typing import Annotated

import typer

from rtsr.cli.app import app
from rtsr.hosts import SCRIPTS, host_folder, install

filters_app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
app.add_typer(filters_app, name="filters", help="Scripts that run rtsr in mpv and VapourSynth.")


@filters_app.callback()
def filters() -> None:
    """Scripts that run rtsr in mpv and VapourSynth.

    Example: `rtsr filters install`
    """


@filters_app.command("install")
def install_command(
    mpv: Annotated[Path | None, typer.Option(help="Folder for mpv.vpy. Default: mpv's configuration.")] = None,
    vapoursynth: Annotated[
        Path | None, typer.Option(help="Folder for upscale.vpy. Default: VapourSynth's configuration.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that differ.")] = False,
) -> None:
    """Copy the scripts to where mpv and VapourSynth keep theirs, and say how to use them.

    Example: `rtsr filters install --mpv ~/.config/mpv`
    """
    asked = {"mpv": mpv, "vapoursynth": vapoursynth}
    targets = {host: asked[host] or host_folder(host) for host in SCRIPTS.values()}
    for target in install(targets, overwrite):
        if target.name == "mpv.vpy":
            use = f"mpv --vf=vapoursynth={target}:buffered-frames=2:concurrent-frames=1 in.mp4"
        else:
            use = f"vspipe -c y4m -a source=in.mp4 -a scale=1.5 {target} - | ffmpeg -i - out.mp4"
        print(f"{target}\n    {use}")
