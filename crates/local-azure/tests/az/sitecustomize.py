"""Keeps the `az` of `cargo xtask clients` on this machine. Python imports it at its start, from PYTHONPATH.

The hosts of vaults resolve to 127.0.0.1, and no other host resolves at all, so that no request leaves this machine.
"""

import socket

VAULTS = ".vault.azure.net"
OWN = ("127.0.0.1", "localhost")

resolve = socket.getaddrinfo


def resolve_here(host, *arguments, **options):
    name = host.decode() if isinstance(host, bytes) else host
    if name and name.lower().endswith(VAULTS):
        return resolve("127.0.0.1", *arguments, **options)
    if name is None or name in OWN:
        return resolve(host, *arguments, **options)
    raise socket.gaierror(socket.EAI_NONAME, f"{name} is not on this machine")


socket.getaddrinfo = resolve_here
