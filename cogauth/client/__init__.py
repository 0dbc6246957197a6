"""What calls deployed APIs, as a client does."""
