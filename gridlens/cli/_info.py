"""`gridlens info`: describe a model, or compare two."""

import json
from typing import Any

import click

from gridlens.cli._terminal import print_card, print_rows

__all__ = ["info"]

_WIDEST = 44


@click.command(
    short_help="Describe a model, or compare two.",
    epilog="Example: gridlens info my-model.zip --diff default",
)
@click.argument("bundle", required=False, metavar="[MODEL]")
@click.option("--model", metavar="MODEL", help="Model to describe; the same as the argument MODEL.")
@click.option("--diff", "other", metavar="MODEL", help="Print the differences between MODEL and this model.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest, or the differences, as JSON.")
def info(bundle: str | None, model: str | None, other: str | None, as_json: bool) -> None:
    """Print the card of MODEL, its manifest, or the differences between two models.

    MODEL is a folder or a .zip file written by `gridlens train`, or the name of a bundled model. The bundled model
    'default' is described if MODEL is not given.
    """
    if bundle is not None and model is not None:
        raise click.UsageError("Name the model either as an argument or with --model, not both.")
    from gridlens.models import compare_models, describe_model

    name = bundle or model or "default"
    if other is not None:
        found = compare_models(name, other)
        if as_json:
            click.echo(json.dumps([difference._asdict() for difference in found], indent=1))
        elif found:
            rows = [("", name, other), *((row.what, _said(row.a), _said(row.b)) for row in found)]
            print_rows([[_short(cell) for cell in row] for row in rows])
        else:
            click.echo("The two models are the same.")
        return
    described = describe_model(name)
    if as_json:
        click.echo(json.dumps(described.manifest, indent=1))
    else:
        print_card(described.card)


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _short(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _WIDEST else plain[: _WIDEST - 3] + "..."
