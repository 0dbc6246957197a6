"""Which stacks are on an embedded local AWS, and when it may end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cogauth.cli.output import notice
from cogauth.cli.stacks import new_context, start_local
from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from pathlib import Path

    from cogauth.cli.options import Target
    from cogauth.context import Context
    from cogauth.record.state import State


def leave_local(target: Target, served: str | None) -> None:
    """Stop using the local AWS for a stack that wasn't recorded; the last one to do so ends it.

    ``served`` identifies the data that it serves; None if it never started. Nothing is on it that
    anybody needs if it was started for this alone, and no state file names it.
    """
    from cogauth.record.files import remove_empty

    local = target.local_aws
    used = local.is_unclaimed() and _say_users(target, served, None)
    if local.leave(removes=not used):
        remove_empty(target.state_path.parent)


def stop_unused_local(target: Target, served: str | None, ctx: Context) -> bool:
    """Stop the local AWS and delete its data; if it is in use, print by what.

    ``served`` identifies the data that it serves. ``ctx`` is the stack that was deleted from it.
    """
    if _say_users(target, served, ctx):
        return False
    if not target.local_aws.remove():
        notice("The local AWS keeps running: another cogauth has begun to use it.")
        return False
    from cogauth.record.files import remove_empty

    remove_empty(target.state_path.parent)
    return True


def _say_users(target: Target, served: str | None, ctx: Context | None) -> bool:
    """Print what else uses the local AWS; return whether anything does."""
    users = local_users(target, served, ctx)
    for user in users:
        notice(f"The local AWS keeps running: {user}")
    return bool(users)


def local_users(target: Target, served: str | None, ctx: Context | None) -> list[str]:
    """Return what else uses the local AWS besides the target's own stack, a sentence each.

    This asks the local AWS too, because a stack's state file may be damaged, or elsewhere.
    """
    given = f" --state {shlex.quote(str(target.state))}" if target.state else ""
    said, known = [], set()
    sound, damaged = local_stacks(target, served)
    for state in sound:
        known.add(state.stack)
        down = f"cogauth down --stack {state.stack} --state {shlex.quote(str(state.path))}"
        said.append(f"the stack {state.stack} of {state.path} is on it. Run '{down}' to delete it.")
    for path in damaged:
        its = f"--stack NAME --state {shlex.quote(str(path))}"
        said.append(
            f"{path} can't be read, or others can write to it; it may belong to a stack on the "
            f"local AWS. If it does, run 'cogauth recover {its}' to write it again, then 'cogauth "
            f"down {its}' to delete that stack. If it doesn't, delete the file, then run 'cogauth "
            f"down --yes{given}' to end the local AWS."
        )
    if ctx is not None:
        stacks, pools = _others_there(ctx)
        said += [
            f"a stack {stack} is on it. Run 'cogauth down --stack {shlex.quote(stack)}' with the "
            "--state of that stack to delete it. If its state file is lost or damaged, run "
            "'cogauth recover' with the same options first."
            for stack in sorted(stacks - known)
        ]
        said += [
            f"the user pool {name} ({pool}) is on it. Run 'cogauth up --local{given}', evaluate "
            f"'cogauth outputs --format env{given}' in your shell to have keys, and delete it with "
            f"'aws cognito-idp delete-user-pool --user-pool-id {pool}'. Then run "
            f"'cogauth down --yes{given}' to end the local AWS."
            for pool, name in pools
        ]
    return said


def _others_there(ctx: Context) -> tuple[set[str], list[tuple[str, str]]]:
    """Return the other stacks on a local AWS, and the user pools there that belong to no stack."""
    # Roles show a stack in any region; the pools listed are those of this region.
    iam, cognito, own = ctx.aws.iam, ctx.aws.cognito, ctx.state.stack_id
    every = [
        {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=role["RoleName"])["Tags"]}
        for page in iam.get_paginator("list_roles").paginate()
        for role in page["Roles"]
    ]
    found = []
    pages = cognito.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 60})
    for page in pages:
        for pool in page["UserPools"]:
            described = cognito.describe_user_pool(UserPoolId=pool["Id"])["UserPool"]
            tags = described.get("UserPoolTags") or {}
            every.append(tags)
            if "cogauth:stack" not in tags:
                found.append((pool["Id"], pool["Name"]))
    others = [tags for tags in every if tags.get("cogauth:stack-id") != own]
    return {tags["cogauth:stack"] for tags in others if "cogauth:stack" in tags}, found


def local_stacks(target: Target, served: str | None) -> tuple[list[State], list[Path]]:
    """Return the other stacks on a local AWS with such data, and files that may belong to one."""
    from cogauth.record.files import is_beside, is_kept, is_link
    from cogauth.record.state import is_of_cogauth, load

    sound, damaged = [], []
    for path in sorted(target.state_path.parent.glob("*")):
        if path == target.state_path or is_link(path) or not path.is_file():
            continue
        # A file that 'recover' kept has been replaced by a sound one.
        if is_beside(path) or is_kept(path) or not is_of_cogauth(path):
            continue
        try:
            state = load(path)
        except CogauthError:
            damaged.append(path)
        else:
            if state and served and state.local_data == served:
                sound.append(state)
    return sound, damaged


def search(target: Target) -> Context:
    """Return where to look for a stack without a state file; write nothing to disk.

    That is the account that the options and the environment name, or the local AWS beside the
    state file if the stack has something there or no state file here is of a stack on it.
    """
    from cogauth import engine
    from cogauth.record.trust import check_place
    from cogauth.settings import Settings

    local = target.local_aws
    elsewhere = target.endpoint_url or target.profile or target.region
    if not elsewhere and local.endpoint_url is not None:
        check_place(target.state_path)
        ran = local.is_running()
        started = start_local(target)
        ctx = new_context(target, Settings(), started)
        if local_stacks(target, started.data_id) == ([], []) or any(engine.survey(ctx)):
            return ctx
        if not ran:
            local.stop()
    return new_context(target, Settings(), None)
