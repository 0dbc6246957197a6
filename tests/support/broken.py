"""Every command, and the environment that it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.state_files import state_at

if TYPE_CHECKING:
    from support.commands import Cli

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLEEXAMPLEEXAMPLE0123456789abcdefghijklmnopqrstuv=="
OWN_KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
COMMANDS = {
    "up": ["up"],
    "outputs": ["outputs"],
    "list": ["list"],
    "plan": ["plan"],
    "status": ["status"],
    "test-login": ["test-login", "--username", "ann", "--password-stdin"],
    "verify": ["verify"],
    "explain": ["explain", "URL", "--no-token"],
    "attach": ["attach", "--api", "orders"],
    "detach": ["detach", "--yes"],
    "down": ["down", "--yes"],
    "recover": ["recover", "--state", "lost.json"],
    "token": ["token", "--username", "ann", "--password-stdin"],
    "decode": ["decode"],
    "call": ["call", "GET", "/hello", "--no-token"],
    "curl": ["curl", "GET", "/hello", "--api", "orders", "--no-token"],
    "users": ["users"],
    "logs": ["logs"],
    "policy": ["policy"],
    "page": ["page", "--no-browser"],
}


def record_whole_stack(cli: Cli, url: str) -> None:
    """Write a state file that records a whole stack at that URL."""
    state_at(cli.state, url, rest_api="id-of-rest_api").save()
