"""The sub-command ``offramp token``: a fresh token for a device."""

from __future__ import annotations

import json

import click

__all__ = ["token"]


@click.command()
@click.argument("name")
def token(name: str) -> None:
    """Print a fresh token for the client NAME, once, and what the server keeps of it.

    The token goes to standard output, for the device: offramp token NAME > FILE, and offramp run
    --token-file FILE. Its hash goes to standard error, for the file of offramp serve --clients. A
    client may have several tokens: the old one is taken out when the device has the new one.
    """
    from edge_server.security.tokens import new_token, token_hash
    from offramp.names import check_name

    try:
        check_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    fresh = new_token()
    entry = f"  {json.dumps(name, ensure_ascii=False)}:\n    tokens:\n"
    click.echo(f'clients:\n{entry}      - sha256: "{token_hash(fresh)}"', err=True)
    click.echo(fresh)
