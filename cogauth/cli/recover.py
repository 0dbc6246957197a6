"""``cogauth recover``."""

from __future__ import annotations

import click

from cogauth.cli.local_stacks import search
from cogauth.cli.options import Target, target_options, writer_options
from cogauth.cli.output import notice, print_json, say
from cogauth.cli.stacks import load_state, where
from cogauth.errors import DamagedStateError, UsageError


@click.command(
    short_help="Write a lost or damaged state file anew.",
    epilog="""\b
Examples:
  cogauth recover                         finds the stack 'cogauth' by its tags
  cogauth recover --stack shop --region eu-central-1
  cogauth recover --take eu-central-1_AbCdEfGhI   where several user pools carry its tags
""",
)
@click.option("--stack-id", envvar="COGAUTH_STACK_ID", help="Which one, if several have the name.")
@click.option(
    "--take",
    multiple=True,
    metavar="ID",
    help="Which user pool, or which REST API, if several carry the stack's tags; repeatable.",
)
@writer_options
@target_options
def recover(target: Target, *, stack_id: str | None, take: tuple[str, ...]) -> None:
    """Write a lost or damaged state file anew, from what stands in the account.

    The stack is found by its names and its tags; nothing is changed in AWS. Where several user
    pools or REST APIs carry them, all are listed, and you say which is the stack's. A damaged state
    file is kept beside the new one. After it 'cogauth up' and 'cogauth down' work as before.
    """
    from cogauth import engine
    from cogauth.record.files import check_writable, keep
    from cogauth.steps import RESOURCES

    check_writable(target.state_path)
    # Before anything is locked: it may be in use by somebody else, or sound.
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
                kept.unlink()  # The damaged one is where it was.
            raise
        if kept:
            notice(f"The damaged state file was kept as {kept}.")
    notice(f"cogauth recover: the stack {ctx.stack}, {ctx.state.stack_id}, in {where(ctx)}")
    found = [
        {"step": RESOURCES[key].step.name, "resource": key, "id": record["id"]}
        for key, record in ctx.state.resources.items()
    ]
    for line in left_out:
        notice(f"Warning: {line}")
    for api, attachment in ctx.state.attachments.items():
        notice(
            f"Warning: the API {attachment['name']} ({api}) is attached to the stack, and what its "
            "methods had before is lost. Give them another authorization yourself, then "
            f"'{ctx.state.command('detach')}' takes the stack's authorizer away there."
        )
    if target.as_json:
        identity = {"stack": ctx.stack, "stack_id": ctx.state.stack_id}
        print_json({**identity, "state_file": str(ctx.state.path), "found": found})
        return
    for entry in found:
        say(f"  {entry['resource'].replace('_', ' '):<22} {entry['id']}")
    say(
        f"Written to {ctx.state.path}. Next: {ctx.state.command('up')}, "
        "which deploys the API once more, for nobody knows whether that is due."
    )


def _is_damaged(target: Target) -> bool:
    """Say whether there is a damaged state file; refuse any other."""
    from cogauth.record.state import load

    try:
        load(target.state_path)
    except DamagedStateError:
        return True
    if load_state(target) is not None:
        raise UsageError(
            f"The state file {target.state_path} is there and sound: there is nothing to recover."
        )
    return False
