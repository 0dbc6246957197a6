"""AWS as it behaves: clients, credentials, answers, errors and waits."""
