"""`gridlens info`: what is installed, and what a model is."""

import json

import click

__all__ = ["info"]


@click.command(short_help="Describe a model and this installation.", epilog="Example: gridlens info --model my-model/")
@click.option("--model", default="default", show_default=True, metavar="BUNDLE", help="The bundled model, or a folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def info(model: str, as_json: bool) -> None:
    """Print the card of a model, or its manifest."""
    from gridlens.models import model_folder, read_manifest

    folder = model_folder(model)
    manifest = read_manifest(folder)
    if as_json:
        click.echo(json.dumps(manifest, indent=1))
    else:
        click.echo((folder / "card.md").read_text().rstrip())
