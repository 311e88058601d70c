"""What must be right before a bot may rely on the plugin, checked one by one, with the fix."""
