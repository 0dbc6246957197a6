"""What is on disk: the state file, its lock, and who else may write there."""
