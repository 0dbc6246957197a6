"""``attach`` guards methods of any REST API by the stack's user pool; ``detach`` undoes it."""
