"""`gridlens members`: list the members that a stack can be built from."""

import json

import click

from gridlens.cli._terminal import print_rows

__all__ = ["members"]


@click.command(short_help="List the members that are installed.", epilog="Example: gridlens members --json")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def members(as_json: bool) -> None:
    """List the members (classifiers) that a stack can be built from, including those of plugins.

    A plugin that cannot be loaded is listed with the reason.
    """
    from gridlens.stacking import list_members

    found = list_members()
    if as_json:
        click.echo(json.dumps([member._asdict() for member in found], indent=1))
        return
    print_rows(
        [(*map(str, member[:3]), member.summary if member.status == "ok" else member.status) for member in found]
    )
