"""The files on disk: the state file, its lock, and checks of who else may write to them."""
