"""``cogauth recover``."""

from __future__ import annotations

import click

from cogauth.cli.help import Command
from cogauth.cli.local_stacks import search
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import notice, print_json, say, show_table
from cogauth.cli.stacks import load_state, where
from cogauth.errors import DamagedStateError, UsageError


@click.command(
    cls=Command,
    short_help="Rebuild a lost or damaged state file.",
    epilog="""\b
Examples:
  cogauth recover  finds the stack 'cogauth' by its tags
  cogauth recover --stack shop --region eu-central-1
  cogauth recover --take eu-central-1_AbCdEfGhI
                   if several user pools have its tags
""",
)
@click.option(
    "--stack-id", envvar="COGAUTH_STACK_ID", help="The id of the stack, if several have its name."
)
@click.option(
    "--take",
    multiple=True,
    metavar="ID",
    help="The user pool or REST API to use, if several have the stack's tags. Repeatable.",
)
@writer_options
@target_options
def recover(target: Target, *, stack_id: str | None, take: tuple[str, ...]) -> None:
    """Rebuild a lost or damaged state file, from what exists in the account.

    cogauth finds the stack by its names and tags, and changes nothing in AWS. If several user pools
    or REST APIs have the tags, all are listed, and you choose. A damaged state file is kept beside
    the new one. Afterwards, 'cogauth up' and 'cogauth down' work as before.
    """
    from cogauth import engine
    from cogauth.record.files import check_writable, keep
    from cogauth.steps import RESOURCES
    from cogauth.steps.ownership import words

    check_writable(target.state_path)
    # Checked before the lock: the file may be sound, or in use by somebody else.
    _is_damaged(target)
    with target.locked("recover"):
        damaged = _is_damaged(target)
        ctx = search(target)
        left_out = engine.recover(ctx, stack_id, take)
        kept = keep(target.state_path) if damaged else None
        try:
            ctx.state.save()
        except BaseException:
            if kept:
                kept.unlink()  # The damaged file is still in its place.
            raise
        if kept:
            notice(f"The damaged state file was kept as {kept}.")
    notice(f"Stack {ctx.stack}, id {ctx.state.stack_id}, in {where(ctx)}")
    found = [
        {"step": RESOURCES[key].step.name, "resource": key, "id": record["id"]}
        for key, record in ctx.state.resources.items()
    ]
    for line in left_out:
        notice(f"Warning: {line}")
    for api, attachment in ctx.state.attachments.items():
        notice(
            f"Warning: the API {attachment['name']} ({api}) is attached to the stack, but the "
            "record of what guarded its methods before is lost. Set their authorization yourself, "
            f"then run '{ctx.state.command('detach')}' to delete the stack's authorizer there."
        )
    if target.as_json:
        identity = {"stack": ctx.stack, "stack_id": ctx.state.stack_id}
        print_json({**identity, "state_file": str(ctx.state.path), "found": found})
        return
    rows = [(words(RESOURCES[entry["resource"]]), entry["id"]) for entry in found]
    show_table(rows, indent=2)
    say(f"✓ Written to {ctx.state.path}.")
    say(f"Next: {ctx.state.command('up')}")
    say("  It redeploys the API once, in case changes are pending.")


def _is_damaged(target: Target) -> bool:
    """Return whether there is a damaged state file; raise for a sound one."""
    from cogauth.record.state import load

    try:
        load(target.state_path)
    except DamagedStateError:
        return True
    if load_state(target) is not None:
        raise UsageError(
            f"The state file {target.state_path} exists and is sound; there is nothing to recover."
        )
    return False
