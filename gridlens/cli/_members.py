"""`gridlens members`: what a stack can be made of."""

import json

import click

from gridlens.cli._terminal import print_rows

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
    print_rows(
        [(*map(str, member[:3]), member.summary if member.status == "ok" else member.status) for member in found]
    )
