"""``attach`` guards methods of any REST API with the stack's user pool; ``detach`` undoes it."""
