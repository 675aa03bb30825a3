"""`gridlens members`: what a stack can be made of."""

import json

import click

__all__ = ["members"]


@click.command(short_help="List the members that are installed.", epilog="Example: gridlens members --json")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def members(as_json: bool) -> None:
    """List the classifiers that a stack can be made of: the built-in ones and those of plugins.

    A plugin that does not load is listed with the reason.
    """
    from gridlens.stacking import list_members

    found = list_members()
    if as_json:
        click.echo(json.dumps([member._asdict() for member in found], indent=1))
        return
    widths = [max(len(str(member[k])) for member in found) for k in range(3)]
    for member in found:
        cells = [str(cell).ljust(width) for cell, width in zip(member[:3], widths, strict=True)]
        click.echo("  ".join([*cells, member.summary if member.status == "ok" else member.status]))
