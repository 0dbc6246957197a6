"""A stack that no state file records yet: where it will stand, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.cli.local_stacks import stop_unused_local
from cogauth.cli.output import notice
from cogauth.cli.stacks import connect, start_local, unsaved_stack

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
    from cogauth.aws.clients import Aws
    from cogauth.record.files import check_writable
    from cogauth.steps.iam import check_boundary

    check_writable(target.state_path)
    local_data = None
    # One that was there before may hold a stack whose state file is elsewhere for now.
    unused = local and target.local_aws.endpoint_url is None
    try:
        if local:
            notice("Starting the local AWS …")
            started = start_local(target)
            local_data = started.data_id
            aws = Aws(region=target.region, endpoint_url=started.endpoint_url, local=started.keys)
        else:
            aws = connect(target, None, from_environment=True, clients=engine.UP_CLIENTS)
        ctx = unsaved_stack(target, aws, settings, local_data)
        check_boundary(ctx, settings)
        engine.check_names(ctx)
        ctx.state.save()
    except BaseException:
        if unused:
            stop_unused_local(target, local_data)
        raise
    return ctx
