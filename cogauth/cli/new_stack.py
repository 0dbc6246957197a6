"""A stack that no state file records yet: where it will stand, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.cli.local_stacks import stop_unused_local
from cogauth.cli.output import notice
from cogauth.cli.stacks import new_context, start_local

if TYPE_CHECKING:
    from cogauth.cli.options import Target
    from cogauth.context import Context
    from cogauth.settings import Settings


def new_stack(target: Target, settings: Settings, *, local: bool) -> Context:
    """Open the state file of a stack that is about to be made, after all that can be checked is.

    Args:
        target: the options.
        settings: the stack's.
        local: on the embedded local AWS, which is started.

    Raises:
        CogauthError: the folder can't be written to, or the stack's names are not free.
        BotoCoreError, ClientError: no credentials, or none that AWS takes.
    """
    from cogauth import engine
    from cogauth.record.files import check_writable
    from cogauth.steps.iam import check_boundary

    check_writable(target.state_path)
    # One that was there before may hold a stack whose state file is elsewhere for now.
    unused = local and target.local_aws.endpoint_url is None
    started = None
    try:
        if local:
            notice("Starting the local AWS …")
            started = start_local(target)
        ctx = new_context(target, settings, started, *engine.UP_CLIENTS)
        check_boundary(ctx, settings)
        engine.check_names(ctx)
        ctx.state.save()
    except BaseException:
        if unused:
            stop_unused_local(target, started.data_id if started else None)
        raise
    return ctx
