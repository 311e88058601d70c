"""A dead man's switch: cancels everything when the bot falls silent. BitoPro itself has none."""
